"""Tables and keys the gate insists on, written out: a test holds them against the models.

A worker asks the gate at its start and reads nothing through SQLAlchemy, whose tables would cost it
20 MB. And whoever takes a key out of the models takes it out of its judge by a second stroke.
"""

from dataclasses import dataclass

# The project-owned tables of the models, each with the column that names the project.
PROJECT_OWNED = {
    "projects": "id",
    "agent_executions": "project_id",
    "document_versions": "project_id",
    "execution_events": "project_id",
    "exports": "project_id",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: pairs of a column and the one it points at, in `target`."""

    pairs: frozenset[tuple[str, str]]
    target: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a table; the key to its project has a rule of its own."""

    unique: frozenset[frozenset[str]]
    references: frozenset[Reference]


def _keys(*unique: str, **references: str) -> Keys:
    """Return keys of "column column" and target="column:column ..."."""
    return Keys(
        frozenset(frozenset(columns.split()) for columns in unique),
        frozenset(
            Reference(frozenset((a, b) for a, b in (p.split(":") for p in pairs.split())), target)
            for target, pairs in references.items()
        ),
    )


_EXECUTION = "project_id:project_id execution_id:id"

KEYS = {
    "projects": _keys("id", users="created_by:id"),
    "agent_executions": _keys(
        "id",
        "project_id id",
        "project_id idempotency_key",
        agent_executions="project_id:project_id retry_of:id",
        users="requested_by:id",
    ),
    "document_versions": _keys(
        "id",
        "project_id document_type version",
        "project_id execution_id document_type",
        agent_executions=_EXECUTION,
        users="created_by:id",
    ),
    "execution_events": _keys("project_id execution_id id", agent_executions=_EXECUTION),
    "exports": _keys("id", "project_id execution_id file_path", agent_executions=_EXECUTION),
}
