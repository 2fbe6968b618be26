"""What PostgreSQL's faults mean to a caller: a typed error, whether trying again helps, no values.

Server messages can carry the values of a row, so none of them is passed on; the constraint's name
and the SQLSTATE are enough to say which rule was broken.
"""

import ssl

import asyncpg

from worker.errors import (
    CopydeskError,
    DatabaseUnavailableError,
    DatabaseUntrustedError,
    IdempotencyConflictError,
    InputInvalidError,
    NotFoundError,
    OutputInvalidError,
    ProjectRequiredError,
    SchemaMismatchError,
    ScopeConflictError,
    SettingsError,
)

FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Everything the driver raises for the server, the connection, or its own confusion."""

# Raised by our own functions; their messages carry no values.
_OURS: dict[str, type[CopydeskError]] = {
    "CD001": ProjectRequiredError,
    "CD002": ScopeConflictError,
    "CD003": IdempotencyConflictError,
    "CD004": InputInvalidError,
}

_MISSING = {
    "fk_agent_executions_project_id": "project_id: there is no such project",
    "fk_agent_executions_requested_by": "requested_by: there is no such user; create it first",
    "fk_projects_created_by": "created_by: there is no such user; create it first",
    "fk_executions_retry_of": "retry_of: there is no such execution in this project",
}

_BROKEN_BY_OUTPUT = {
    "check_document_versions_base_version": (
        "drafts.base_version: the document has no such version yet"
    ),
}

# Connection trouble, shutdown, too many connections, a read-only primary; then what a busy server
# answers to a statement that may well succeed the next time.
_PASSING_CLASSES = ("08", "53", "57P")
_PASSING = {"25006", "40001", "40P01", "55P03", "57014"}

_FORGETFUL = (
    "statements_forgotten",
    (
        "a pooler does not keep the prepared statements of a connection: take PgBouncer 1.21 or "
        "newer, or add statement_cache_size=0 to the URL"
    ),
)

_REMEDIES = {
    "28000": (
        "database_login_refused",
        (
            "PostgreSQL does not let this role in from here like this; check the role, and whether "
            "it wants TLS (sslmode=verify-full in the URL)"
        ),
    ),
    "28": (
        "database_login_refused",
        "PostgreSQL refused the login; check role and password (`copydesk db upgrade` makes roles)",
    ),
    "3D": ("database_missing", "there is no such database; check the URL"),
    "42501": ("database_forbidden", "PostgreSQL forbids this role to do that"),
    "26000": _FORGETFUL,
    "42P05": _FORGETFUL,
    "42704": ("project_required", "no project scope is set in this transaction"),
    "22P02": ("project_required", "no project scope is set in this transaction"),
}

_LACKING = {"42P01": "table", "42703": "column", "42883": "function"}


def translate(error: BaseException) -> CopydeskError:
    """Return the copydesk error that says what `error` means."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return SettingsError("the PostgreSQL URL has a parameter that cannot be used; check it")
    if untrusted := _untrusted(error):
        return untrusted
    state = getattr(error, "sqlstate", None)
    unanswered = isinstance(
        error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | EOFError
    )
    if unanswered and not isinstance(error, ValueError):
        return DatabaseUnavailableError(
            f"PostgreSQL did not answer ({type(error).__name__}); nothing is known to be accepted, "
            "try again"
        )
    if state is None:
        return CopydeskError(
            f"the statement could not be sent ({type(error).__name__})", code="database_refused"
        )
    return _misfit(state) if doubts_schema(state) else _by_state(state, error)


def doubts_schema(state: str | None) -> bool:
    """Whether a statement, which is a constant of ours, did not fit the schema (class 42)."""
    return state is not None and state.startswith("42") and state not in _REMEDIES


def _misfit(state: str) -> SchemaMismatchError:
    if what := _LACKING.get(state):
        return SchemaMismatchError(
            f"a {what} is missing; run `copydesk db upgrade`", code="schema_missing"
        )
    return SchemaMismatchError(
        f"the schema does not fit this copydesk (SQLSTATE {state}); run `copydesk db check`"
    )


def _untrusted(error: BaseException) -> DatabaseUntrustedError | None:
    """Return what TLS finds wrong; nothing was sent but the wish to begin it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return DatabaseUntrustedError(
            f"PostgreSQL's certificate is not trusted ({error.verify_message}); check sslrootcert "
            "and the host's name in the URL, or renew the certificate"
        )
    if isinstance(error, ssl.SSLError):
        return DatabaseUntrustedError(f"TLS with PostgreSQL failed ({error.reason})")
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return DatabaseUntrustedError(
            "PostgreSQL offers no TLS, and the URL's sslmode demands it; nothing was sent"
        )
    return None


def _by_state(state: str, error: BaseException) -> CopydeskError:
    if state in _OURS:
        return _OURS[state](str(error).split("\n", 1)[0])
    if state.startswith(_PASSING_CLASSES) or state in _PASSING:
        return DatabaseUnavailableError(
            f"PostgreSQL could not do it now (SQLSTATE {state}); nothing is known to be "
            "accepted, try again"
        )
    constraint = getattr(error, "constraint_name", None) or "none"
    if state == asyncpg.ForeignKeyViolationError.sqlstate and constraint in _MISSING:
        return NotFoundError(_MISSING[constraint])
    if constraint in _BROKEN_BY_OUTPUT:
        return OutputInvalidError(_BROKEN_BY_OUTPUT[constraint])
    code, remedy = _REMEDIES.get(state) or _REMEDIES.get(state[:2]) or ("database_refused", "")
    return CopydeskError(
        remedy or f"PostgreSQL refused the statement (SQLSTATE {state}, constraint {constraint})",
        code=code,
    )
