"""The moves, as SQL functions: one file each, named like the function it creates."""

from importlib.resources import files

# Later ones call earlier ones.
ORDER = (
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
    "extend_leases",
    "find_due",
    "find_expired",
    "find_former",
    "find_projects",
    "find_containing",
    "refuse_language_change",
    "refuse_illegal_move",
    "touch_project",
)


def function_sources() -> list[str]:
    """Return the CREATE FUNCTION statements in an order in which they can be created."""
    return [files(__package__).joinpath(f"{name}.sql").read_text("utf-8") for name in ORDER]
