"""The invariants, as questions to the whole database: what was promised, whatever happened to it.

I2 one version for each completed execution and document, and none for any other; I3 the version is
of the attempt that won; I5 only legal moves, and final states stay; I6 versions are 1..n. Each
answer is a list of sentences, empty where the promise was kept.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from models.states import FINAL, Event, State
from tests.support.databases import DatabaseUrls

_VERSIONS = """
    SELECT e.project_id, e.id, e.status, e.attempt AS winner, v.document_type,
           count(v.id) AS versions, array_agg(v.attempt) AS attempts
    FROM agent_executions e JOIN document_versions v
        ON v.project_id = e.project_id AND v.execution_id = e.id
    GROUP BY e.project_id, e.id, e.status, e.attempt, v.document_type
"""

_NUMBERS = """
    SELECT project_id, document_type, max(version) AS latest, count(*) AS versions,
           count(DISTINCT version) AS numbers, min(version) AS first
    FROM document_versions GROUP BY project_id, document_type
"""

_ASKED = """
    SELECT e.id FROM agent_executions e
    WHERE e.status = 'completed' AND e.input_data ->> 'document_type' IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM document_versions v
            WHERE v.project_id = e.project_id AND v.execution_id = e.id
                AND v.document_type = e.input_data ->> 'document_type')
"""

_LIVES = """
    SELECT e.id, e.status, e.attempt, v.event, v.attempt AS event_attempt, v.worker
    FROM agent_executions e JOIN execution_events v
        ON v.project_id = e.project_id AND v.execution_id = e.id
    ORDER BY e.id, v.id
"""

# What an event leads to, and from where; a rescue may be followed by the end that it came to.
_MOVES: dict[str, tuple[set[str], State]] = {
    Event.ENQUEUED: ({""}, State.PENDING),
    Event.CLAIMED: ({State.PENDING}, State.RUNNING),
    Event.COMPLETED: ({State.RUNNING}, State.COMPLETED),
    Event.RETRY_SCHEDULED: ({State.RUNNING}, State.PENDING),
    Event.SNOOZED: ({State.RUNNING}, State.PENDING),
    Event.RELEASED: ({State.RUNNING}, State.PENDING),
    Event.RESCUED: ({State.RUNNING}, State.PENDING),
    Event.FAILED: ({State.RUNNING, State.PENDING}, State.FAILED),
    Event.CANCELLED: ({State.RUNNING, State.PENDING}, State.CANCELLED),
}
_ASIDE = {Event.PROGRESS, Event.CANCEL_REQUESTED, Event.WRITE_REJECTED}


async def violations(database: DatabaseUrls) -> list[str]:
    """Return every broken promise about what is recorded (I2, I3, I5, I6)."""
    found = [
        f"I6: {row['document_type']} of {row['project_id']}: {dict(row)}"
        for row in await database.ask(_NUMBERS)
        if not row["first"] == 1 <= row["latest"] == row["versions"] == row["numbers"]
    ]
    for row in await database.ask(_VERSIONS):
        if row["status"] != State.COMPLETED or row["versions"] != 1:
            found.append(f"I2: {row['versions']} versions of {row['id']}, {row['status']}")
        if set(row["attempts"]) != {row["winner"]}:
            found.append(f"I3: {row['id']}: won by {row['winner']}, by {row['attempts']}")
    found += [f"I2: no version of {row['id']}" for row in await database.ask(_ASKED)]
    lives: dict[UUID, list[Any]] = defaultdict(list)
    for row in await database.ask(_LIVES):
        lives[row["id"]].append(row)
    return found + [fault for id_, life in lives.items() for fault in _illegal(id_, life)]


def _illegal(execution: UUID, life: list[Any]) -> Iterable[str]:
    state, attempt, worker, told = "", 0, None, [row["event"] for row in life]
    for row in life:
        event = row["event"]
        if event in _ASIDE:
            continue
        sources, target = _MOVES[event]
        if state not in sources:
            yield f"I5: {execution}: {event} of what is {state or 'nothing'}: {told}"
        if event == Event.CLAIMED:
            if row["event_attempt"] != attempt + 1:
                yield f"I5: {execution}: attempt {row['event_attempt']} after {attempt}"
            attempt, worker = row["event_attempt"], row["worker"]
        elif state == State.RUNNING and (row["event_attempt"], row["worker"]) != (attempt, worker):
            yield f"I3: {execution}: {event} by {row['worker']}, attempt {row['event_attempt']}"
        state = target
    if (life[-1]["status"], life[-1]["attempt"]) != (state, attempt):
        yield f"I5: {execution}: is {life[-1]['status']}, its events say {state}: {told}"


async def not_final(database: DatabaseUrls) -> list[UUID]:
    """Return what has not ended yet (I1 holds when this is empty in time)."""
    rows = await database.ask("SELECT id FROM agent_executions WHERE status <> ALL ($1)", [*FINAL])
    return [row["id"] for row in rows]


async def check(database: DatabaseUrls) -> None:
    """Fail with every broken promise."""
    assert await violations(database) == []
