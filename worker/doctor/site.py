"""What a check may look at: the settings, a connection for each role, Redis, and the limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.roles import APP, DISPATCH
from worker.doctor.eyes import Eyes
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule, broken
from worker.doctor.sight import Sight
from worker.errors import SettingsError
from worker.findings import Finding
from worker.settings import Settings

_WHO = """
    SELECT current_user::text AS name, quote_ident(current_user) AS quoted,
           d.oid AS database, pg_postmaster_start_time() AS started,
           pg_has_role('pg_read_all_stats', 'USAGE') AS reads_statistics
    FROM pg_database d WHERE d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Observer:
    """Whoever sees most of the server: the monitor where there is one, otherwise the app role."""

    eyes: Eyes
    name: str
    quoted: str
    is_monitor: bool
    reads_statistics: bool

    def cannot_see(self, subject: str, what: str) -> Finding:
        """Return the finding that something is hidden from it, and who would see it."""
        remedy = (
            f"GRANT pg_monitor TO {self.quoted}"
            if self.is_monitor
            else "give the doctor COPYDESK_MONITOR_URL, a login that is a member of pg_monitor; "
            f"never make {APP} or {DISPATCH} one"
        )
        sentence = f"not checked: {what} (not visible to the role {self.name})"
        return broken(Rule.NOT_VISIBLE, subject, sentence, remedy)


@dataclass(frozen=True, slots=True)
class Site:
    """What a check may look at.

    Attributes:
        settings: of this process.
        pools: connections by running role.
        monitor: a connection that sees more of the server, where there is one.
        redis: None where no check needs it.
        limits: what is too much.
        now: this machine's clock, as Unix time in seconds.
    """

    settings: Settings
    pools: Mapping[str, Eyes]
    monitor: Eyes | None = None
    redis: Sight | None = None
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], float] = time.time

    @property
    def app(self) -> Eyes:
        """The app role's connection."""
        return self.pools[APP]

    @property
    def dispatch(self) -> Eyes:
        """The dispatch role's connection."""
        return self.pools[DISPATCH]

    @property
    def sight(self) -> Sight:
        """Redis, for checks that say they need it."""
        if self.redis is None:
            raise RuntimeError("the check does not say that it needs Redis")
        return self.redis

    async def observer(self) -> Observer:
        """Return who sees most.

        Raises:
            SettingsError: the monitor is connected to another database.
            CopydeskError: PostgreSQL does not answer, or refuses the login.
        """
        eyes = self.monitor or self.app
        [who] = await eyes.call(_WHO)
        if self.monitor is not None:
            [app] = await self.app.call(_WHO)
            if (app["database"], app["started"]) != (who["database"], who["started"]):
                raise SettingsError(
                    "COPYDESK_MONITOR_URL leads to another database than COPYDESK_DATABASE_URL"
                )
        return Observer(
            eyes,
            name=who["name"],
            quoted=who["quoted"],
            is_monitor=self.monitor is not None,
            reads_statistics=who["reads_statistics"],
        )
