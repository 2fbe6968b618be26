"""How far the clocks of this machine and of the servers are apart.

Leases run on PostgreSQL's clock alone. Other clocks say when a request begins that was put off, and
when a hint is due; what they are wrong by, these come too early or too late.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import duration
from worker.findings import Examination, Finding

_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8 AS now"
_TRIES = 3
_LOST_HEARTBEATS = 2


@dataclass(frozen=True, slots=True)
class Offset:
    """By how many seconds another clock is ahead of this machine's, give or take a few."""

    ahead: float
    give_or_take: float

    @property
    def words(self) -> str:
        """The difference for people."""
        return f"{duration(abs(self.ahead))} {'behind' if self.ahead < 0 else 'ahead'}"


async def clock(site: Site) -> Examination:
    """Measure how far PostgreSQL's clock is from this machine's."""

    async def of_postgres() -> float:
        [row] = await site.app.call(_NOW)
        return float(row["now"])

    offset = await measure(of_postgres, site.now)
    findings = [*judge_offset("PostgreSQL", offset, tolerated=tolerated(site))]
    facts = [f"PostgreSQL {offset.words} (± {duration(offset.give_or_take)})"]
    return Examination("clock", findings, {"clocks": ["PostgreSQL"]}, facts)


def tolerated(site: Site) -> float:
    """Return the seconds that a lease has to spare, which clocks may be apart."""
    return site.settings.lease - _LOST_HEARTBEATS * site.settings.heartbeat


def judge_offset(name: str, offset: Offset, *, tolerated: float) -> Iterator[Finding]:
    """Yield a finding where a clock is surely further off than is tolerated."""
    if abs(offset.ahead) - offset.give_or_take > tolerated:
        yield broken(
            Rule.CLOCK_OFF,
            f"clock of {name}",
            f"the clock of {name} is {offset.words} of this machine's, more than the "
            f"{duration(tolerated)} that a lease has to spare: what was put off comes at "
            "the wrong time, and logs do not line up",
            "synchronise the clocks of both machines (chrony, or what their provider has)",
        )


async def measure(ask: Callable[[], Awaitable[float]], now: Callable[[], float]) -> Offset:
    """Return the difference as the quickest of a few round trips shows it."""
    found = []
    for _ in range(_TRIES):
        here, began = now(), perf_counter()
        there = await ask()
        took = perf_counter() - began
        found.append(Offset(there - (here + took / 2), took / 2))
    return min(found, key=lambda offset: offset.give_or_take)
