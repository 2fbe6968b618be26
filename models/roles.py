"""Roles, and what each may do. What stands nowhere here is forbidden.

`copydesk_owner` owns and migrates and runs nothing. `copydesk_app` reads and writes project data
inside a project scope. `copydesk_dispatch` sees across projects that there is work, never what it
is: ids, states and times of executions, and it may move one column, the lease.
"""

OWNER = "copydesk_owner"
APP = "copydesk_app"
DISPATCH = "copydesk_dispatch"

_HARMLESS = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"

ROLES = {OWNER: _HARMLESS, APP: _HARMLESS, DISPATCH: _HARMLESS}

# A process that hangs inside a transaction must not hold its locks for ever.
_TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}

ROLE_SETTINGS = {APP: _TIMEOUTS, DISPATCH: _TIMEOUTS}

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

TABLE_GRANTS = {
    (APP, "users"): "SELECT, INSERT",
    (APP, "projects"): "SELECT, INSERT, UPDATE (name, status, current_step)",
    (APP, "agent_executions"): "SELECT, INSERT, UPDATE",
    (APP, "execution_events"): "SELECT, INSERT",
    (APP, "document_versions"): "SELECT, INSERT",
    (APP, "exports"): "SELECT, INSERT, UPDATE (status)",
    (APP, "workers"): "SELECT, INSERT, UPDATE, DELETE",
    (APP, "alembic_version"): "SELECT",
    (DISPATCH, "agent_executions"): (
        f"SELECT ({', '.join(CONTROL_COLUMNS)}), UPDATE (lease_expires_at)"
    ),
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
    ),
    DISPATCH: ("extend_leases", "find_due", "find_expired", "find_former"),
}
