"""What the gate expects, as tables: a new role, policy or listed table is a line here.

Everything that is not expected is a finding. What a role may do is taken from the models; the
exceptions from the rules for tables and policies stand here, apart from the models, so that nobody
widens a declaration and its judge in one stroke.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.roles import (
    APP,
    BACKUP,
    DISPATCH,
    FUNCTION_GRANTS,
    MAINTENANCE,
    OWNER,
    SEARCH,
    TABLE_GRANTS,
)
from models.triggers import TRIGGERS
from worker.gate.declared import PROJECT_OWNED

# Tables that are not project-owned, each with the reason why it needs no project.
NO_PROJECT_DATA = {
    "users": "who asks: an address and a name, no content of a project",
    "workers": "which processes are here, for display",
    "alembic_version": "the revision of the schema",
}

# Who is bound by the guard of every project-owned table, and whom its permissive policy lets in.
# Into tables of others the role of maintenance has no way in, and there it need not be bound.
BOUND = frozenset({APP, MAINTENANCE, OWNER})
ADMITTED = frozenset({APP, MAINTENANCE})
BOUND_ELSEWHERE = frozenset({APP, OWNER})
ADMITTED_ELSEWHERE = frozenset({APP})

# Roles that are judged, and as which no worker connects.
ABSENT = (MAINTENANCE, SEARCH, BACKUP)

# Roles that see rows of every project, and who may become one of them: (role, member).
SEEING = frozenset({SEARCH, BACKUP})
BECOME = frozenset({(SEARCH, OWNER)})


@dataclass(frozen=True, slots=True)
class Exemption:
    """A permissive policy beside guard and access; `reason` says why it opens no content."""

    name: str
    table: str
    command: str
    role: str
    using: str
    check: str | None
    reason: str


EXEMPTIONS = (
    Exemption(
        name="dispatch_read",
        table="agent_executions",
        command="SELECT",
        role=DISPATCH,
        using="true",
        check=None,
        reason="a sweep has no project; column grants let it see control columns only",
    ),
    Exemption(
        name="dispatch_extend",
        table="agent_executions",
        command="UPDATE",
        role=DISPATCH,
        using="true",
        check="true",
        reason="one heartbeat for all projects; column grants let it change the lease only",
    ),
    *(
        Exemption(
            name="search_read",
            table=table,
            command="SELECT",
            role=SEARCH,
            using="true",
            check=None,
            reason="nobody logs in as it; its one function names the project itself",
        )
        for table in ("agent_executions", "document_versions")
    ),
)

Columns = frozenset[str] | None
"""The columns a privilege is held on; None is the whole table."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a running role may do: exactly this.

    Attributes:
        name: the role; whoever connects must be it, or be a member of it.
        tables: privileges by table of the models; on a table that is not named it has none.
        others: privileges it may hold on project-owned tables that the models do not know.
        functions: the functions of the models it may call.
        memberships: roles it may be a member of, itself or through others.
        sequences: privileges it must have on sequences.
        owns: functions of the models that belong to it.
        attributes: those it may have, as pg_roles names them.
    """

    name: str
    tables: Mapping[str, Mapping[str, Columns]]
    others: frozenset[str]
    functions: frozenset[str]
    memberships: frozenset[str] = frozenset()
    sequences: frozenset[str] = frozenset()
    owns: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset({"rolcanlogin"})


_GRANT = re.compile(r"(?P<privilege>[A-Z]+)(?: \((?P<columns>[^)]+)\))?")
_TRIGGER = re.compile(r"CREATE TRIGGER (?P<name>\w+) .*? ON (?P<table>\w+)", re.DOTALL)


def _role(
    name: str,
    *,
    others: frozenset[str] = frozenset(),
    memberships: frozenset[str] = frozenset(),
) -> Role:
    tables = {
        table: {
            match["privilege"]: frozenset(match["columns"].split(", "))
            if match["columns"]
            else None
            for match in _GRANT.finditer(granted)
        }
        for (role, table), granted in TABLE_GRANTS.items()
        if role == name
    }
    return Role(name, tables, others, frozenset(FUNCTION_GRANTS.get(name, ())), memberships)


def _everything_there_is() -> dict[str, dict[str, Columns]]:
    return {table: {"SELECT": None} for table in (*PROJECT_OWNED, *NO_PROJECT_DATA)}


# PostgreSQL's own: it has the other three, and they show statistics and settings, no row.
_STATISTICS = frozenset(
    {"pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"}
)

# A table of somebody else's that is as well protected as ours may be used from inside a project.
ROLES = {
    APP: _role(APP, others=frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})),
    DISPATCH: _role(DISPATCH),
    MAINTENANCE: _role(MAINTENANCE, memberships=_STATISTICS),
    # Nobody's login; what it owns is all that it may call.
    SEARCH: replace(
        _role(SEARCH),
        functions=frozenset({"find_containing"}),
        owns=frozenset({"find_containing"}),
        attributes=frozenset(),
    ),
    # Reads whatever there is, also tables of somebody else's, and changes nothing.
    BACKUP: Role(
        BACKUP,
        _everything_there_is(),
        others=frozenset({"SELECT"}),
        functions=frozenset(),
        sequences=frozenset({"SELECT"}),
        attributes=frozenset({"rolcanlogin", "rolbypassrls"}),
    ),
}

# Functions that run as a role which sees rows of every project; no other one may.
DEFINERS = frozenset({"find_containing"})

# (table, trigger) of the models. Their functions run as whoever writes.
DECLARED_TRIGGERS = frozenset(
    (match["table"], match["name"]) for sql in TRIGGERS if (match := _TRIGGER.search(sql))
)


def scope_expressions(column: str) -> tuple[str, ...]:
    """Return how PostgreSQL writes "the row's project is the bound one", read once, or per row."""
    setting = "(current_setting('app.project_id'::text))::uuid"
    return (f"({column} = ( SELECT {setting} AS current_setting))", f"({column} = {setting})")


def scope_declared(column: str) -> str:
    """Return the same as one writes it in a policy."""
    return f"{column} = (SELECT current_setting('app.project_id')::uuid)"
