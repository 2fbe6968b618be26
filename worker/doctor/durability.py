"""Whether what PostgreSQL answers is on disk: an answered completion must not vanish in a crash.

A setting counts as the running roles get it: from the configuration, from what a role, a database
or a function brings along, or from a URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.roles import APP, DISPATCH
from worker.doctor.eyes import Eyes
from worker.doctor.rules import Rule, broken
from worker.findings import Finding

_FROM_ELSEWHERE = {"database", "user", "database user", "client", "session"}

# What a role, a database, a role in a database, or a function sets. Of roles, those that may move.
_BROUGHT = """
    SELECT concat_ws(' IN ', CASE WHEN s.setrole <> 0 THEN 'ROLE ' || quote_ident(r.rolname) END,
               CASE WHEN s.setdatabase <> 0 THEN 'DATABASE ' || quote_ident(d.datname)
                    WHEN s.setrole = 0 THEN 'ROLE ALL' END) AS place
    FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS each (setting)
        LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE each.setting ILIKE 'synchronous_commit=%' AND split_part(each.setting, '=', 2) ILIKE $1
        AND (s.setdatabase = 0 OR d.datname = current_database())
        AND (s.setrole = 0 OR EXISTS (
            SELECT FROM pg_roles moves WHERE moves.rolname = ANY ($2::text[])
                AND pg_has_role(s.setrole, moves.oid, 'MEMBER') AND NOT r.rolsuper))
    UNION ALL
    SELECT 'FUNCTION ' || p.oid::regprocedure
    FROM pg_proc p CROSS JOIN unnest(p.proconfig) AS each (setting)
    WHERE p.pronamespace = 'public'::regnamespace
        AND each.setting ILIKE 'synchronous_commit=%' AND split_part(each.setting, '=', 2) ILIKE $1
    ORDER BY 1
"""

_LOST = "what was answered as recorded may be lost in a crash"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a new session of a role has it.

    Attributes:
        value: in its unit, as text.
        source: where it comes from, in the words of pg_settings.
        context: when it can be changed, in the same words.
    """

    value: str
    source: str
    context: str


def server_remedy(name: str, value: str, setting: Setting) -> str:
    """Return how a setting of the whole server is changed."""
    if setting.source == "command line":
        return f"start PostgreSQL with {name} = {value}: it stands on the server's command line"
    if setting.context == "postmaster":
        return f"set {name} = {value} in postgresql.conf, and start PostgreSQL again"
    return f"ALTER SYSTEM SET {name} = {value}; SELECT pg_reload_conf()"


async def not_durable(
    pool: Eyes, settings: Mapping[str, Mapping[str, Setting]]
) -> Sequence[Finding]:
    """Return a finding for each way in which an answer may not be on disk.

    Args:
        pool: of any role.
        settings: by connected role, then by name.
    """
    first = next(iter(settings.values()))
    findings = [*_written(first)]
    places = [row["place"] for row in await pool.call(_BROUGHT, "off", [APP, DISPATCH])]
    findings += [
        broken(
            Rule.COMMIT_NOT_DURABLE,
            place,
            f"synchronous_commit is off for {place}: {_LOST}",
            f"ALTER {place} RESET synchronous_commit",
        )
        for place in places
    ]
    commit = first["synchronous_commit"]
    if commit.value == "off" and commit.source not in _FROM_ELSEWHERE:
        findings.append(
            broken(
                Rule.COMMIT_NOT_DURABLE,
                "server",
                f"synchronous_commit is off: {_LOST}",
                server_remedy("synchronous_commit", "on", commit),
            )
        )
    for role, of_role in settings.items():
        commit = of_role["synchronous_commit"]
        if commit.value == "off" and commit.source in {"client", "session"}:
            findings.append(
                broken(
                    Rule.COMMIT_NOT_DURABLE,
                    f"role {role}",
                    f"synchronous_commit is off on connections of {role}: {_LOST}",
                    "take it out of the URL",
                )
            )
    return findings


def _written(settings: Mapping[str, Setting]) -> Iterator[Finding]:
    for name, rule, harm in (
        ("fsync", Rule.FSYNC_OFF, "a crash of the machine may lose or damage everything"),
        (
            "full_page_writes",
            Rule.FULL_PAGE_WRITES_OFF,
            "a crash of the machine may leave half-written pages",
        ),
    ):
        if settings[name].value == "off":
            remedy = server_remedy(name, "on", settings[name])
            yield broken(rule, "server", f"{name} is off: {harm}", remedy)
