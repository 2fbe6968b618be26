"""Roles, and what each may do. What stands nowhere here is forbidden.

`copydesk_owner` owns and migrates and runs nothing. `copydesk_app` reads and writes project data
inside a project scope. `copydesk_dispatch` sees across projects that there is work, never what it
is: ids, states and times of executions, and it may move one column, the lease.
`copydesk_maintenance` deletes, prunes and moves projects, one scope at a time like `copydesk_app`;
operators' commands connect with it, and no running process does. `copydesk_search` is nobody's
login: it owns one function, which looks for JSON values in the project it is bound to.
`copydesk_backup` reads everything of every project, for `copydesk backup` alone, and no more.
"""

OWNER = "copydesk_owner"
APP = "copydesk_app"
DISPATCH = "copydesk_dispatch"
MAINTENANCE = "copydesk_maintenance"
SEARCH = "copydesk_search"
BACKUP = "copydesk_backup"

_HARMLESS = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"

LOGINS = (OWNER, APP, DISPATCH, MAINTENANCE, BACKUP)
ROLES = dict.fromkeys(LOGINS, f"LOGIN {_HARMLESS}") | {SEARCH: f"NOLOGIN {_HARMLESS}"}

PASSES_POLICIES = frozenset({BACKUP})
"""Roles that have to have BYPASSRLS, which only a superuser can give."""

# (member, role): the owner has to be able to hand a function over to the role that is to own it. It
# inherits nothing of it, and can pass it on to nobody. Maintenance reads the server's statistics.
MEMBERSHIPS = {
    (OWNER, SEARCH): "INHERIT FALSE, SET TRUE, ADMIN FALSE",
    (MAINTENANCE, "pg_monitor"): "INHERIT TRUE, SET TRUE, ADMIN FALSE",
}

# A process that hangs inside a transaction must not hold its locks for ever.
TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}

# What maintenance waits for must not wait behind it: it gives a lock up soon, and tries again.
_MAINTENANCE_TIMEOUTS = {
    "statement_timeout": "5min",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}

# A dump takes as long as it takes, and a transaction that does nothing else holds its snapshot.
_UNHURRIED = {
    "default_transaction_read_only": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}

# Plans are kept, also those that were made for small tables: none may read a table from end to end.
_RUNNING = {**TIMEOUTS, "enable_seqscan": "off"}

ROLE_SETTINGS = {
    APP: _RUNNING,
    DISPATCH: _RUNNING,
    MAINTENANCE: _MAINTENANCE_TIMEOUTS,
    BACKUP: _UNHURRIED,
}

CONTROL_COLUMNS = (
    "id",
    "project_id",
    "agent_type",
    "status",
    "priority",
    "attempt",
    "worker",
    "created_at",
    "started_at",
    "scheduled_at",
    "lease_expires_at",
    "cancel_requested_at",
)

# What a search compares, and what it needs to name a row and its place.
SEARCH_COLUMNS = {
    "document_versions": ("id", "project_id", "execution_id", "document_type", "metadata"),
    "agent_executions": ("id", "project_id", "output_data"),
}

# What moves change of an execution, and what they write of its versions, exports and events: never
# an id, which would tell whether another project has it, and never a table as a whole, which would
# allow to lock it.
MOVED_COLUMNS = (
    "attempt",
    "cancel_requested_at",
    "completed_at",
    "error_code",
    "error_message",
    "failures",
    "lease_expires_at",
    "max_attempts",
    "output_data",
    "scheduled_at",
    "started_at",
    "status",
    "worker",
)
_EVENT_COLUMNS = ("project_id", "execution_id", "event", "attempt", "worker", "at", "detail")
_VERSION_COLUMNS = (
    *("project_id", "document_type", "version", "content", "metadata", "readability_score"),
    *("grammar_score", "created_by", "execution_id", "attempt", "base_version"),
)
_EXPORT_COLUMNS = (
    *("project_id", "status", "manifest", "file_path", "expires_at"),
    *("execution_id", "attempt"),
)


def _of(verb: str, columns: tuple[str, ...]) -> str:
    return f"{verb} ({', '.join(columns)})"


TABLE_GRANTS = {
    (APP, "users"): "SELECT, INSERT",
    (APP, "projects"): "SELECT, INSERT, UPDATE (name, status, current_step)",
    (APP, "agent_executions"): f"SELECT, INSERT, {_of('UPDATE', MOVED_COLUMNS)}",
    (APP, "execution_events"): f"SELECT, {_of('INSERT', _EVENT_COLUMNS)}",
    (APP, "document_versions"): f"SELECT, {_of('INSERT', _VERSION_COLUMNS)}",
    (APP, "exports"): f"SELECT, {_of('INSERT', _EXPORT_COLUMNS)}, UPDATE (status)",
    (APP, "workers"): "SELECT, INSERT, UPDATE, DELETE",
    (APP, "alembic_version"): "SELECT",
    (DISPATCH, "agent_executions"): (
        f"{_of('SELECT', CONTROL_COLUMNS)}, UPDATE (lease_expires_at)"
    ),
    (MAINTENANCE, "users"): "SELECT, INSERT, MAINTAIN",
    # A row is locked by whoever may update one of its columns: this one is kept by a trigger.
    (MAINTENANCE, "projects"): "SELECT, INSERT, DELETE, MAINTAIN, UPDATE (updated_at)",
    # What it takes to cancel: no more than `cancel_executions` changes.
    (MAINTENANCE, "agent_executions"): (
        "SELECT, INSERT, DELETE, MAINTAIN, UPDATE (status, completed_at, cancel_requested_at)"
    ),
    (MAINTENANCE, "execution_events"): "SELECT, INSERT, DELETE, MAINTAIN",
    (MAINTENANCE, "document_versions"): "SELECT, INSERT, DELETE, MAINTAIN",
    (MAINTENANCE, "exports"): "SELECT, INSERT, DELETE, MAINTAIN, UPDATE (status)",
    (MAINTENANCE, "workers"): "MAINTAIN",
    (MAINTENANCE, "alembic_version"): "SELECT",
    **{(SEARCH, table): _of("SELECT", columns) for table, columns in SEARCH_COLUMNS.items()},
}

FUNCTION_GRANTS = {
    APP: (
        "enter_project",
        "create_project",
        "hash_request",
        "enqueue_executions",
        "enqueue_execution",
        "claim_executions",
        "reject_writes",
        "find_repeats",
        "complete_executions",
        "fail_executions",
        "release_executions",
        "cancel_executions",
        "cancel_attempts",
        "rescue_executions",
        "retry_executions",
        "record_progress",
        "read_documents",
        "read_executions",
        "find_containing",
    ),
    DISPATCH: ("extend_leases", "find_due", "find_expired", "find_former", "find_projects"),
    MAINTENANCE: ("enter_project", "cancel_executions"),
}

# Everything else belongs to the owner.
FUNCTION_OWNERS = {"find_containing": SEARCH}
