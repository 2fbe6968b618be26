"""Every fault that copydesk names: one base, a stable code, and whether trying again can help.

`code` is part of the interface: it stands in `agent_executions.error_code`, in events, in JSON
answers and in logs, and does not change between releases. `retryable` says that the same call may
succeed later without a change by the caller. Messages name the field, the rule and the remedy, and
never carry a secret or the content of a document.
"""


class CopydeskError(Exception):
    """Base of every error that copydesk raises on purpose."""

    code = "copydesk_error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class SettingsError(CopydeskError):
    """The configuration is missing something or contradicts itself; all faults are listed."""

    code = "settings_invalid"


class StartupRefusedError(CopydeskError):
    """A worker must not start here: roles, policies, schema or Redis are not as they have to be."""

    code = "startup_refused"


class ProjectRequiredError(CopydeskError):
    """A call came without a project, or with something that is not one project's id."""

    code = "project_required"


class ScopeConflictError(CopydeskError):
    """The transaction is bound to another project already: one transaction, one project."""

    code = "scope_conflict"


class NotFoundError(CopydeskError):
    """Nothing of that name in this project (the same answer where another project has one)."""

    code = "not_found"


class InputInvalidError(CopydeskError):
    """A request breaks a rule; the message names the field and the rule."""

    code = "input_invalid"


class IdempotencyConflictError(CopydeskError):
    """The idempotency key was used in this project for a different request."""

    code = "idempotency_conflict"


class OutputInvalidError(CopydeskError):
    """What an agent returned is not what the contract allows; final, retrying cannot help."""

    code = "output_invalid"


class OutputTooLargeError(OutputInvalidError):
    """What an agent returned is larger than allowed; final."""

    code = "output_too_large"


class SearchUnavailableError(CopydeskError):
    """The database lacks an extension that a search needs; an administrator can create it."""

    code = "search_unavailable"


class DatabaseUnavailableError(CopydeskError):
    """PostgreSQL did not answer; nothing is known to have been accepted. Try again."""

    code = "database_unavailable"
    retryable = True


class ProjectBusyError(CopydeskError):
    """The project has executions pending or running, and what is asked for has to wait for them."""

    code = "project_busy"
    retryable = True


class ProjectExistsError(CopydeskError):
    """A project cannot be imported where it, or something with the id of a part of it, exists."""

    code = "project_exists"


class ArchiveInvalidError(CopydeskError):
    """A project archive is damaged, was changed, or is of a version that cannot be read here."""

    code = "archive_invalid"


class DatabaseUntrustedError(DatabaseUnavailableError):
    """The URL's `sslmode` trusts no connection: a certificate or a name is wrong, or no TLS."""

    code = "database_not_trusted"


class RedisUnavailableError(CopydeskError):
    """Redis did not answer where nothing can be done without it."""

    code = "redis_unavailable"
    retryable = True


class SchemaMismatchError(CopydeskError):
    """The schema is not the one this code works with; the same call succeeds once it is."""

    code = "schema_mismatch"
    retryable = True


class AgentsLeakedError(CopydeskError):
    """As many agents as a worker has slots did not heed a stop and still run; start it again."""

    code = "agents_leaked"


class EnvelopeError(CopydeskError):
    """A queue message that is not a copydesk envelope."""

    code = "bad_envelope"


class AgentNotFoundError(CopydeskError):
    """An agent reference (setting or entry point) cannot be loaded, or names nothing."""

    code = "agent_not_found"
