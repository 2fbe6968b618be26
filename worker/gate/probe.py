"""The live probe: with row_security off, every role must be refused every protected table.

The catalog says what should happen; this makes it happen. PostgreSQL refuses a statement outright
when a policy would have to filter it and row_security is off, so a statement that is not refused
meets no policy, for whatever reason. It reads no row.
"""

from __future__ import annotations

from collections.abc import Sequence

from worker.errors import CopydeskError
from worker.findings import Finding
from worker.gate.relations import Relation
from worker.gate.roles import Connected
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

# The inner statement is planned after the setting was made, which ends with this transaction: one
# statement, because each call of a pool is one, and nothing may stay on the connection.
_PROBE = """
    WITH off AS MATERIALIZED (SELECT set_config('row_security', 'off', true) AS row_security)
    SELECT query_to_xml(format('SELECT 1 FROM %s LIMIT 0', $1::oid::regclass), true, true, '')
        IS NOT NULL
    FROM off WHERE off.row_security = 'off'
"""

_REFUSED = "database_forbidden"


async def readable_past_policies(
    pool: MovePool, role: Connected, tables: Sequence[Relation]
) -> list[Finding]:
    """Return a finding for each table that a role is not refused with row_security off."""
    return [
        broken(
            Rule.READ_PAST_RLS,
            table.name,
            f"{table.name}: {role.name} can read it past row level security",
            "mend what else is said of the table and the role",
        )
        for table in tables
        if not await _is_refused(pool, table)
    ]


async def _is_refused(pool: MovePool, table: Relation) -> bool:
    try:
        await pool.call(_PROBE, table.oid)
    except CopydeskError as error:
        if error.code != _REFUSED:
            raise
        return True
    return False
