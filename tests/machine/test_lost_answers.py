"""What the model says of answers that are lost, on the real recorder: no row loses its file."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import BaseModel

from models.states import State
from tests.ledger.desk import INPUT_LIMIT, Desk
from tests.support.databases import DatabaseUrls
from worker.agents.contract import ExportFile, Outcome, RunContext, agent
from worker.errors import DatabaseUnavailableError
from worker.exports import ExportStore
from worker.ledger import Claim, Completion, Ended, Ledger
from worker.recording import Recorder


class Nothing(BaseModel):
    """An input that asks for nothing."""


@agent("review")
async def review(_context: RunContext, _input: Nothing) -> Outcome:
    """Stand for the agent whose outcome is recorded."""
    return OUTCOME


OUTCOME = Outcome(
    exports=[ExportFile(content=b"zip", suffix=".zip", manifest={}, lifetime=timedelta(days=1))]
)


class Deaf(Ledger):
    """A ledger whose completions go through, and whose answers never arrive."""

    async def complete(self, project_id: UUID, completion: Completion) -> Ended:
        """Complete, and lose the answer."""
        await super().complete(project_id, completion)
        raise DatabaseUnavailableError("PostgreSQL did not answer")


@pytest.fixture
async def desk(database: DatabaseUrls, project: UUID, user: UUID) -> AsyncIterator[Desk]:
    """Give a project and the moves in it."""
    desk = Desk(database, project, user)
    yield desk
    await desk.close()


async def record(
    desk: Desk, claim: Claim, exports: Path, *, deaf: bool, lost: list[bool]
) -> Ended | None:
    """Record an outcome with an export file; `lost` is what the heartbeat says, time by time."""
    kind = Deaf if deaf else Ledger
    ledger = kind(desk.pool, worker="w1", input_limit=INPUT_LIMIT)
    recorder = Recorder(ledger, ExportStore(exports), output_limit=1000, document_limit=1000)
    return await recorder.record(claim, review, OUTCOME, lost=lambda: lost.pop(0))


async def named(desk: Desk) -> set[str]:
    """Return the files that rows name."""
    return {row["file_path"] for row in await desk.database.ask("SELECT file_path FROM exports")}


def there(exports: Path) -> set[str]:
    """Return the files that are there."""
    return {path.relative_to(exports).as_posix() for path in exports.rglob("*.zip")}


async def test_a_completion_in_doubt_keeps_its_file(desk: Desk, tmp_path: Path) -> None:
    """It went through unanswered, and the next heartbeat found nothing running: the row has it."""
    claim = await desk.running()

    ended = await record(desk, claim, tmp_path, deaf=True, lost=[False, True])

    assert ended is None
    assert (await desk.row(claim.execution_id))["status"] == State.COMPLETED
    assert len(await named(desk)) == 1
    assert there(tmp_path) == await named(desk)


async def test_a_completion_that_was_refused_leaves_no_file(desk: Desk, tmp_path: Path) -> None:
    """The answer is known, and it is no."""
    claim = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [claim.execution_id])

    ended = await record(desk, claim, tmp_path, deaf=False, lost=[False])

    assert ended is not None
    assert not ended.accepted
    assert there(tmp_path) == await named(desk) == set()
