"""Whether PostgreSQL lets in as many connections as workers of this configuration open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import counted, share
from worker.doctor.work import read_workers
from worker.findings import Examination, Finding

# Who is connected is visible to everybody, though not with what.
_CONNECTED = """
    SELECT current_setting('max_connections')::int AS most,
           current_setting('superuser_reserved_connections')::int
               + current_setting('reserved_connections')::int AS reserved,
           quote_ident(d.datname) AS database, d.datconnlimit AS most_in_database,
           (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL)::int AS in_use
    FROM pg_database d WHERE d.datname = current_database()
"""

_ROLE = """
    SELECT r.rolname::text AS name, quote_ident(r.rolname) AS quoted, r.rolconnlimit AS most,
           (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid)::int AS in_use
    FROM pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class _Limit:
    """A number of connections that there may be, and how it is raised; `most` is what it is now."""

    subject: str
    words: str
    most: int
    needed: int
    remedy: str


async def connections(site: Site) -> Examination:
    """Hold max_connections, and the limits of database and roles, against what workers open."""
    each = site.settings.connections
    pool = site.settings.pool_size
    [server] = await site.app.call(_CONNECTED)
    roles = [(await pool.call(_ROLE))[0] for pool in site.pools.values()]
    may_be = server["most"] - server["reserved"]
    workers = len(await read_workers(site))
    ours = sum({role["name"]: role["in_use"] for role in roles}.values())
    sum_of_pools = f"2 x COPYDESK_POOL_SIZE ({pool}) + {each - 2 * pool}"
    limits = [
        _Limit(
            "server",
            "max_connections, without those that are reserved,",
            may_be,
            each,
            "raise max_connections and start PostgreSQL again, or lower COPYDESK_POOL_SIZE",
        ),
        _Limit(
            "database",
            "the limit of the database",
            server["most_in_database"],
            each,
            f"ALTER DATABASE {server['database']} CONNECTION LIMIT -1",
        ),
        *(
            _Limit(
                f"role {role['name']}",
                f"the limit of the role {role['name']}",
                role["most"],
                2 * pool if place == 0 else each - 2 * pool,
                f"ALTER ROLE {role['quoted']} CONNECTION LIMIT -1",
            )
            for place, role in enumerate(roles)
        ),
    ]
    findings = [*_short(limits, sum_of_pools)]
    others = server["in_use"] - ours
    wanted = max(workers * each, ours) + others
    if not findings and wanted > may_be:
        findings.append(
            broken(
                Rule.CONNECTIONS_SCARCE,
                "server",
                f"{counted(workers, 'worker')} may open {each} each ({sum_of_pools}), and "
                f"{others} of others are open: {wanted}, of {may_be} that there "
                "may be",
                "raise max_connections and start PostgreSQL again, or lower COPYDESK_POOL_SIZE",
            )
        )
    used = server["in_use"] / max(may_be, 1)
    if used >= site.limits.connections_used:
        findings.append(
            broken(
                Rule.CONNECTIONS_USED,
                "server",
                f"{server['in_use']} of {may_be} connections are in use "
                f"({share(used)}), {ours} of them copydesk's",
                "see who they are in pg_stat_activity; raise max_connections where they are needed",
            )
        )
    facts = [
        f"{server['in_use']} of {server['most']} in use",
        f"a worker opens up to {each}",
        f"{counted(workers, 'worker')} here",
    ]
    return Examination("connections", findings, {"roles": [r["name"] for r in roles]}, facts)


def _short(limits: list[_Limit], sum_of_pools: str) -> Iterator[Finding]:
    for limit in limits:
        # A limit of -1 is none.
        if 0 <= limit.most < limit.needed:
            yield broken(
                Rule.CONNECTIONS_SHORT,
                limit.subject,
                f"{limit.words} is {limit.most}, and one worker opens up to {limit.needed} there "
                f"(of {sum_of_pools})",
                limit.remedy,
            )
