"""Everything of the database that a table definition does not hold, as ordered SQL statements.

Functions, triggers, row level security, policies and grants. Alembic's autogenerate compares the
result of these statements with the live database (see `models.comparison`), so that a difference
in any of them turns `copydesk db check` red. Names are unqualified on purpose.
"""

from sqlalchemy import LargeBinary, String, Text, Uuid

from models.functions import ORDER, function_sources
from models.roles import (
    APP,
    BACKUP,
    DISPATCH,
    FUNCTION_GRANTS,
    FUNCTION_OWNERS,
    MAINTENANCE,
    OWNER,
    SEARCH,
    SEARCH_COLUMNS,
    TABLE_GRANTS,
)
from models.tables import Base
from models.triggers import TRIGGERS

# The scope is read once a statement (a sub-select), and an unset one raises: it fails closed.
_SCOPE = "(SELECT current_setting('app.project_id')::uuid)"

# Comparing these leaks nothing as PostgreSQL sees it, so EXPLAIN would estimate a condition of one
# project from the values of all: bisection spells them out. Without statistics there is nothing to
# estimate from. States are five words and agents are the installation's; lists are planned by them.
_COMPARED = (LargeBinary, String, Text, Uuid)
_ESTIMATED = {
    ("agent_executions", "status"),
    ("agent_executions", "agent_type"),
    ("exports", "status"),
}

# A project is planned for as five thousand rows, or, in a smaller table, as all of it: who knows
# ids looks these up, and nobody takes the few rows of a young table for what they will be. Negative
# is PostgreSQL's way to say that the number of projects grows with the rows.
_PROJECTS_A_ROW = -0.0002


def project_owned() -> dict[str, str]:
    """Return the project-owned tables, each with the column that names the project."""
    tables = {
        table.name: "project_id"
        for table in Base.metadata.sorted_tables
        if "project_id" in table.columns
    }
    return {"projects": "id", **tables}


def statements() -> list[str]:
    """Return all statements, in an order in which they can be executed on fresh tables."""
    return [
        *function_sources(),
        *TRIGGERS,
        *(sql for table, column in project_owned().items() for sql in _isolation(table, column)),
        *_dispatch_policies(),
        *_search_policies(),
        *_grants(),
        *(
            f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0"
            for table, column in hidden_columns()
        ),
        # Last, since nobody but its owner can grant what belongs to another role.
        *(f"ALTER FUNCTION {name} OWNER TO {role}" for name, role in FUNCTION_OWNERS.items()),
    ]


def estimates() -> dict[str, str]:
    """Return the statement for each table that tells the planner how much of it a project has.

    They are no part of the schema and of no dump: migrations and restorations execute them, and
    ANALYZE leaves them alone.
    """
    return {
        table: "SELECT pg_restore_attribute_stats('schemaname', 'public', "
        f"'relname', '{table}', 'attname', '{column}', 'inherited', false, "
        f"'null_frac', 0::real, 'avg_width', 16, 'n_distinct', {_PROJECTS_A_ROW}::real)"
        for table, column in project_owned().items()
        if table != "projects"
    }


def hidden_columns() -> list[tuple[str, str]]:
    """Return the columns of project-owned tables that must have no statistics, as (table, name)."""
    return [
        (name, column.name)
        for name in project_owned()
        for column in Base.metadata.tables[name].columns
        if isinstance(column.type, _COMPARED) and (name, column.name) not in _ESTIMATED
    ]


def backed_up() -> list[str]:
    """Return the tables and sequences that a backup holds: all there are."""
    tables = Base.metadata.sorted_tables
    sequences = [
        f"{table.name}_{column.name}_seq"
        for table in tables
        for column in table.columns
        if column.identity is not None
    ]
    return [*(table.name for table in tables), *sequences, "alembic_version"]


def _isolation(table: str, column: str) -> list[str]:
    inside = f"{column} = {_SCOPE}"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        # The guard is restrictive: whatever policy somebody adds later, it still holds.
        (
            f"CREATE POLICY project_guard ON {table} AS RESTRICTIVE FOR ALL "
            f"TO {APP}, {MAINTENANCE}, {OWNER} USING ({inside}) WITH CHECK ({inside})"
        ),
        (
            f"CREATE POLICY project_access ON {table} AS PERMISSIVE FOR ALL "
            f"TO {APP}, {MAINTENANCE} USING ({inside}) WITH CHECK ({inside})"
        ),
    ]


def _dispatch_policies() -> list[str]:
    return [
        f"CREATE POLICY dispatch_read ON agent_executions FOR SELECT TO {DISPATCH} USING (true)",
        (
            f"CREATE POLICY dispatch_extend ON agent_executions FOR UPDATE TO {DISPATCH} "
            "USING (true) WITH CHECK (true)"
        ),
    ]


def _search_policies() -> list[str]:
    # A condition that is always true is folded away, and stands before no index.
    return [
        f"CREATE POLICY search_read ON {table} FOR SELECT TO {SEARCH} USING (true)"
        for table in SEARCH_COLUMNS
    ]


def _grants() -> list[str]:
    return [
        *(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC" for name in ORDER),
        *_table_grants(APP, DISPATCH, SEARCH),
        *(f"GRANT SELECT ON {name} TO {BACKUP}" for name in backed_up()),
        *_table_grants(MAINTENANCE),
        *(
            f"GRANT EXECUTE ON FUNCTION {name} TO {role}"
            for role, names in FUNCTION_GRANTS.items()
            for name in names
        ),
    ]


def _table_grants(*roles: str) -> list[str]:
    """Return the grants of these roles; a dump shows them in the order in which they were made."""
    return [
        f"GRANT {what} ON {table} TO {role}"
        for (role, table), what in TABLE_GRANTS.items()
        if role in roles
    ]
