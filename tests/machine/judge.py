"""What must hold whatever was done: the tables as the superuser sees them, judged on their own.

Nothing here knows which moves were made; `agrees` alone compares with the oracle.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from models.states import FINAL, Event, State
from tests.machine.oracle import Oracle

# The only moves there are: the state and the event that leaves it -> the next state.
LEGAL: dict[tuple[str, str], str] = {
    ("", Event.ENQUEUED): State.PENDING,
    (State.PENDING, Event.CLAIMED): State.RUNNING,
    (State.PENDING, Event.CANCELLED): State.CANCELLED,
    (State.RUNNING, Event.COMPLETED): State.COMPLETED,
    (State.RUNNING, Event.RETRY_SCHEDULED): State.PENDING,
    (State.RUNNING, Event.RELEASED): State.PENDING,
    (State.RUNNING, Event.SNOOZED): State.PENDING,
    (State.RUNNING, Event.FAILED): State.FAILED,
    (State.RUNNING, Event.CANCELLED): State.CANCELLED,
    (State.RUNNING, Event.RESCUED): "rescued",
    ("rescued", Event.CLAIMED): State.RUNNING,
    ("rescued", Event.FAILED): State.FAILED,
    ("rescued", Event.CANCELLED): State.CANCELLED,
}
# Events that move nothing, and where they may stand.
REMARKS: dict[str, set[str]] = {
    Event.PROGRESS: {State.RUNNING},
    Event.CANCEL_REQUESTED: {State.RUNNING},
    Event.WRITE_REJECTED: {*State, "rescued"},
}


@dataclass(frozen=True)
class View:
    """The rows of the projects, as they stand."""

    executions: list[dict[str, Any]]
    events: dict[UUID, list[dict[str, Any]]]
    versions: list[dict[str, Any]]
    exports: list[dict[str, Any]]


async def look(superuser: asyncpg.Connection, projects: Sequence[UUID]) -> View:
    """Read everything that belongs to the projects."""
    executions = await superuser.fetch(
        "SELECT *, scheduled_at <= clock_timestamp() AS due, "
        "lease_expires_at < clock_timestamp() AS lease_over "
        "FROM agent_executions WHERE project_id = ANY ($1)",
        projects,
    )
    events = await superuser.fetch(
        "SELECT * FROM execution_events WHERE project_id = ANY ($1) ORDER BY id", projects
    )
    versions = await superuser.fetch(
        "SELECT * FROM document_versions WHERE project_id = ANY ($1)", projects
    )
    exports = await superuser.fetch("SELECT * FROM exports WHERE project_id = ANY ($1)", projects)
    by_execution: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        by_execution[event["execution_id"]].append(dict(event))
    rows = [[dict(row) for row in table] for table in (executions, versions, exports)]
    return View(rows[0], by_execution, rows[1], rows[2])


def judge(view: View, projects: Sequence[UUID]) -> None:
    """Assert everything that holds at any moment."""
    for row in view.executions:
        _row_is_whole(row)
        _events_tell_its_life(row, view.events[row["id"]])
    _versions_are_the_winners(view)
    _exports_are_the_winners(view)
    _versions_count_up(view)
    _projects_keep_apart(view, projects)


def _row_is_whole(row: dict[str, Any]) -> None:
    running, final = row["status"] == State.RUNNING, row["status"] in FINAL
    assert row["status"] in set(State)
    assert (row["completed_at"] is not None) == final
    assert (row["lease_expires_at"] is not None) == running
    assert row["worker"] is not None or row["attempt"] == 0
    assert row["status"] != State.FAILED or row["error_code"]
    assert (row["output_data"] is not None) == (row["status"] == State.COMPLETED)
    if row["output_data"] is not None:
        by = json.loads(row["output_data"])["by"]
        assert by == text_of(row["project_id"], row["id"], row["attempt"])
    assert 0 <= row["failures"] <= row["attempt"]
    assert row["attempt"] == 0 or row["failures"] <= row["max_attempts"]
    # What somebody asked to cancel does not wait for another attempt.
    assert row["status"] != State.PENDING or row["cancel_requested_at"] is None


def _events_tell_its_life(row: dict[str, Any], events: list[dict[str, Any]]) -> None:
    state, attempt, failures = "", 0, 0
    for event in events:
        name = event["event"]
        if name in REMARKS:
            assert state in REMARKS[name], f"{name} while {state}"
            assert event["attempt"] == attempt or name == Event.WRITE_REJECTED
            continue
        assert (state, name) in LEGAL, f"{name} while {state or 'unknown'}"
        attempt += name == Event.CLAIMED
        assert event["attempt"] == attempt, f"{name} names attempt {event['attempt']} of {attempt}"
        # A rescue that ends the execution is told twice, and is one failure.
        failures += '"failures"' in event["detail"] and state != "rescued"
        state = LEGAL[state, name]
    state = State.PENDING if state == "rescued" else state
    assert (state, attempt, failures) == (row["status"], row["attempt"], row["failures"])


def _versions_are_the_winners(view: View) -> None:
    executions = {row["id"]: row for row in view.executions}
    each = Counter((version["execution_id"], version["document_type"]) for version in view.versions)
    assert set(each.values()) <= {1}
    for version in view.versions:
        execution = executions[version["execution_id"]]
        assert execution["status"] == State.COMPLETED
        assert version["project_id"] == execution["project_id"]
        assert version["attempt"] == execution["attempt"]
        assert version["created_by"] == execution["requested_by"]
        # The text says who really wrote it, and for whom.
        assert version["content"] == text_of(
            execution["project_id"], execution["id"], execution["attempt"]
        )


def _exports_are_the_winners(view: View) -> None:
    executions = {row["id"]: row for row in view.executions}
    assert len({export["execution_id"] for export in view.exports}) == len(view.exports)
    for export in view.exports:
        execution = executions[export["execution_id"]]
        assert execution["status"] == State.COMPLETED
        assert export["attempt"] == execution["attempt"]
        assert export["file_path"] == text_of(
            execution["project_id"], execution["id"], execution["attempt"]
        )


def _versions_count_up(view: View) -> None:
    documents: dict[tuple[UUID, str], list[int]] = defaultdict(list)
    for version in view.versions:
        documents[version["project_id"], version["document_type"]].append(version["version"])
    for numbers in documents.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def _projects_keep_apart(view: View, projects: Sequence[UUID]) -> None:
    rows = [*view.executions, *view.versions, *view.exports]
    rows += [event for events in view.events.values() for event in events]
    for row in rows:
        others = [str(project) for project in projects if project != row["project_id"]]
        told = str([value for name, value in row.items() if name != "project_id"])
        assert not any(other in told for other in others)


def text_of(project: UUID, execution: UUID, attempt: int) -> str:
    """Return what an attempt writes: whose it is stands in it."""
    return f"attempt {attempt} of {execution} in {project}"


def agrees(view: View, oracle: Oracle) -> None:
    """Assert that the tables are what the oracle expects, row by row and event by event."""
    assert {row["id"] for row in view.executions} == set(oracle.lives)
    versions, exports = defaultdict(list), Counter(row["execution_id"] for row in view.exports)
    for version in view.versions:
        versions[version["execution_id"]].append((version["document_type"], version["version"]))
    for row in view.executions:
        life = oracle.lives[row["id"]]
        seen = {
            "project": row["project_id"],
            "status": row["status"],
            "attempt": row["attempt"],
            "failures": row["failures"],
            "max_attempts": row["max_attempts"],
            "worker": row["worker"],
            "lease_over": bool(row["lease_over"]),
            "cancel": row["cancel_requested_at"] is not None,
            "error_code": row["error_code"],
            "retry_of": row["retry_of"],
            "versions": sorted(versions[life.id]),
            "exports": exports[life.id],
            "events": [(e["event"], e["attempt"], e["worker"]) for e in view.events[life.id]],
        }
        expected = {name: getattr(life, name) for name in seen} | {
            "versions": sorted(life.versions)
        }
        assert seen == expected
        # A due time counts only while somebody waits for it.
        assert life.status is not State.PENDING or bool(row["due"]) == life.due
