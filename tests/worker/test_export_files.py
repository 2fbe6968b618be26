"""Export files and their rows: neither without the other, whatever is lost on the way."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from worker.agents.builtin.export import ExportInput
from worker.agents.contract import ExportFile, Outcome, RunContext, agent
from worker.errors import CopydeskError, DatabaseUnavailableError
from worker.exports import ExportStore
from worker.ledger import Claim, Completion, Ended, Failure, Ledger, MovePool
from worker.recording import Recorder
from worker.settings import secret

FILE = ExportFile(content=b"zip", suffix=".zip", manifest={}, lifetime=timedelta(days=1))


@agent("files")
async def files(context: RunContext, input: ExportInput) -> Outcome:  # noqa: A002, ARG001
    """Build a file."""
    return Outcome(exports=[FILE])


class Unanswered(Ledger):
    """A ledger whose completion goes through, and whose answer does not come back."""

    answered_once = False

    async def complete(self, project_id: UUID, completion: Completion) -> Ended:
        """Complete for real, and lose the answer."""
        await super().complete(project_id, completion)
        self.answered_once = True
        raise DatabaseUnavailableError("the link was cut")


class LockedOut(Unanswered):
    """A ledger that loses the first answer, and may not log in again to ask."""

    async def complete(self, project_id: UUID, completion: Completion) -> Ended:
        """Complete once, without an answer; refuse for good from then on."""
        if self.answered_once:
            raise CopydeskError("the login was refused", code="database_login_refused")
        return await super().complete(project_id, completion)

    async def fail(self, project_id: UUID, failure: Failure) -> Ended:  # noqa: ARG002 - a move
        """Refuse like everything else."""
        raise CopydeskError("the login was refused", code="database_login_refused")


class Refusing(Ledger):
    """A ledger that refuses every completion for good."""

    async def complete(self, project_id: UUID, completion: Completion) -> Ended:  # noqa: ARG002
        """Refuse."""
        raise CopydeskError("a rule was broken", code="database_refused")


@pytest.fixture
async def claim(database: DatabaseUrls, project: UUID, user: UUID) -> Claim:
    """A claimed execution of worker `w`."""
    [row] = await database.ask(
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by,"
        " status, attempt, worker, lease_expires_at, input_data, max_attempts)"
        " VALUES ($1, 'files', $2, $3, 'running', 1, 'w', now() + interval '1 minute', '{}', 3)"
        " RETURNING id",
        project,
        uuid4(),
        user,
    )
    now = datetime.now(UTC)
    return Claim(
        project,
        row["id"],
        True,
        "running",
        1,
        "files",
        {},
        uuid4(),
        user,
        "en",
        0,
        3,
        now,
        now,
        None,
        None,
        None,
    )


async def test_a_file_stays_when_only_the_answer_to_its_row_was_lost(
    database: DatabaseUrls, redis_url: str, claim: Claim, tmp_path: Path
) -> None:
    """COMMIT went through, its answer did not, then the lease was lost: the row keeps its file."""
    settings = make_settings(database, redis_url)
    async with MovePool(secret(settings.database_url), size=1) as pool:
        ledger = Unanswered(pool, worker="w", input_limit=10_000)
        recorder = Recorder(
            ledger, ExportStore(tmp_path), output_limit=10_000, document_limit=10_000
        )
        outcome = Outcome(exports=[FILE])
        ended = await recorder.record(claim, files, outcome, lost=lambda: ledger.answered_once)
    assert ended is None
    [row] = await database.ask("SELECT file_path FROM exports")
    assert (tmp_path / row["file_path"]).read_bytes() == b"zip"


async def test_a_file_stays_when_the_repeat_of_an_unanswered_completion_is_refused(
    database: DatabaseUrls, redis_url: str, claim: Claim, tmp_path: Path
) -> None:
    """COMMIT went through, its answer did not, then the worker was locked out: the file stays."""
    settings = make_settings(database, redis_url)
    async with MovePool(secret(settings.database_url), size=1) as pool:
        ledger = LockedOut(pool, worker="w", input_limit=10_000)
        recorder = Recorder(
            ledger, ExportStore(tmp_path), output_limit=10_000, document_limit=10_000
        )
        with pytest.raises(CopydeskError, match="login was refused"):
            await recorder.record(claim, files, Outcome(exports=[FILE]), lost=lambda: False)
    [row] = await database.ask("SELECT file_path FROM exports")
    assert (tmp_path / row["file_path"]).read_bytes() == b"zip"


async def test_a_completion_that_is_refused_for_good_leaves_no_file(
    database: DatabaseUrls, redis_url: str, claim: Claim, tmp_path: Path
) -> None:
    """The first try was answered, with a refusal: the attempt fails, and its file goes."""
    settings = make_settings(database, redis_url)
    async with MovePool(secret(settings.database_url), size=1) as pool:
        ledger = Refusing(pool, worker="w", input_limit=10_000)
        recorder = Recorder(
            ledger, ExportStore(tmp_path), output_limit=10_000, document_limit=10_000
        )
        ended = await recorder.record(claim, files, Outcome(exports=[FILE]), lost=lambda: False)
    assert ended is not None
    assert (ended.accepted, ended.status) == (True, "failed")
    assert files_below(tmp_path) == []


async def test_a_refused_completion_leaves_no_file(
    database: DatabaseUrls, redis_url: str, claim: Claim, tmp_path: Path
) -> None:
    """The attempt was somebody else's by then: neither row nor file."""
    settings = make_settings(database, redis_url)
    async with MovePool(secret(settings.database_url), size=1) as pool:
        ledger = Ledger(pool, worker="somebody else", input_limit=10_000)
        recorder = Recorder(
            ledger, ExportStore(tmp_path), output_limit=10_000, document_limit=10_000
        )
        ended = await recorder.record(claim, files, Outcome(exports=[FILE]), lost=lambda: False)
    assert ended is not None
    assert not ended.accepted
    assert await database.ask("SELECT 1 FROM exports") == []
    assert files_below(tmp_path) == []


def files_below(directory: Path) -> list[Path]:
    """Return every file, at whatever depth."""
    return [path for path in directory.rglob("*") if path.is_file()]
