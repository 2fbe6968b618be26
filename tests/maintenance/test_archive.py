"""A project leaves one database and comes into another, and is the same."""

import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from models.declarations import project_owned
from models.tables import Base
from tests.maintenance.archives import facts, taken_apart
from tests.maintenance.canaries import fill, silent_columns
from tests.maintenance.place import Place
from tests.maintenance.rows import Records
from tests.support.desk import Desk
from tests.support.workers import running_worker
from worker.client import Client
from worker.errors import InputInvalidError, NotFoundError, ProjectBusyError, SettingsError
from worker.maintenance.archive.format import COLUMNS
from worker.maintenance.archive.writing import ArchiveWriter

DAY = timedelta(days=1)


async def odd_values(records: Records) -> None:
    """Put in what is easily bent: numbers, times, and characters of every kind."""
    [execution] = await records.ended(DAY)
    odd = {
        "big": 2**70,
        "digits": "PLACE",
        "tiny": 5e-324,
        "text": "\u2028 \U0001f600 \\u0041 \t \" ' \\ \x01 \r\n é e\u0301 ]}",
        "empty": {},
        "list": [[], None, True, -0.0],
    }
    text = json.dumps(odd).replace('"PLACE"', "1234567890.123456789012345678901234567890")
    await records.database.ask(
        "UPDATE agent_executions SET input_data = $2, output_data = $2, request_hash = '\\x00ff', "
        "error_message = $3, started_at = '2026-11-25 01:02:03.000001+07' WHERE id = $1",
        execution,
        text,
        odd["text"],
    )
    await records.database.ask(
        "INSERT INTO document_versions (project_id, document_type, version, content, metadata, "
        "readability_score, grammar_score, created_by, created_at, execution_id, attempt) "
        "VALUES ($1, 'odd', 3, $2, $3, 0.1::float8 + 0.2::float8, 'NaN', $4, 'infinity', $5, 1)",
        records.project,
        odd["text"],
        text,
        records.user,
        execution,
    )
    await records.export(execution, "none.txt")
    await records.database.ask(
        "UPDATE exports SET status = 'expired', expires_at = '-infinity' "
        "WHERE file_path LIKE '%none.txt'"
    )


async def test_a_round_trip_changes_nothing(
    here: Place, there: Place, user: UUID, tmp_path: Path
) -> None:
    """Out, into another database, and out again: the same to the last byte but for the moment."""
    [filled] = await fill(here.settings, here.database, user, 1)
    await odd_values(Records(here.database, filled.project, user))
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"

    await here.export(filled.project, first, unfinished_as_cancelled=True)
    counts = await there.take_in(first)
    await there.export(filled.project, second)

    assert facts(first) == facts(second)
    members, manifest = facts(first)
    assert {name for name in members if name.startswith("files/")}
    assert all(members[name].count(b"\n") for name in members if name.endswith(".jsonl"))
    assert {
        name: member["rows"] for name, member in manifest["members"].items() if "rows" in member
    } == {f"{table}.jsonl": counts[table] for table in COLUMNS}
    assert await silent_columns(
        there.database, filled.project, filled.word
    ) == await silent_columns(here.database, filled.project, filled.word)


async def test_what_was_moved_is_read_and_worked_on_like_before(
    here: Place, there: Place, desk: Desk, tmp_path: Path
) -> None:
    """Reports say the same, nothing starts by itself, and the next version has the next number."""
    said = {"document_type": "notes", "value": "first"}
    async with running_worker(here.settings):
        done = [await desk.run("echo", {**said, "value": n}) for n in range(3)]
        built = await desk.run("exporter")
    await here.export(desk.project, tmp_path / "a.zip")
    await there.take_in(tmp_path / "a.zip")

    async with Client(there.settings) as client:
        for report in (*done, built):
            assert await client.execution(desk.project, report.execution_id) == report
        assert [d.version for d in await client.documents(desk.project)] == [3]
        moved = Desk(client, there.database, desk.project, desk.user, desk.directory)
        async with running_worker(there.settings, burst=True) as service:
            pass
        assert service._executor.finished == 0
        async with running_worker(there.settings):
            [version] = (await moved.run("echo", said)).versions
        assert version.version == 4
    assert there.settings.exports_directory is not None
    [file] = [export.file_path for export in built.exports]
    assert (there.settings.exports_directory / str(file)).read_bytes() == b"an export"


async def test_events_keep_their_order(
    here: Place, there: Place, user: UUID, tmp_path: Path
) -> None:
    """Thousands of one moment: their numbers are new, and in the same order."""
    records = Records(here.database, await here.database.add_project(user), user)
    [execution] = await records.ended(DAY)
    await here.database.ask(
        "INSERT INTO execution_events (project_id, execution_id, event, attempt, at, detail) "
        "SELECT $1, $2, 'progress', 1, now(), to_jsonb(n) FROM generate_series(1, 3000) n",
        records.project,
        execution,
    )
    await there.database.ask("SELECT setval(pg_get_serial_sequence('execution_events', 'id'), 7)")
    await here.export(records.project, tmp_path / "a.zip")
    await there.take_in(tmp_path / "a.zip")
    rows = await there.database.ask(
        "SELECT id, detail::text FROM execution_events WHERE event = 'progress' ORDER BY id"
    )
    assert [int(row["detail"]) for row in rows] == list(range(1, 3001))
    assert min(row["id"] for row in rows) > 7


async def test_unfinished_work_is_not_exported_unless_as_cancelled(
    here: Place, there: Place, desk: Desk, tmp_path: Path
) -> None:
    """An import starts nothing; what it was is told by an event, and here it goes on."""
    file = tmp_path / "a.zip"
    async with running_worker(here.settings):
        running = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        waiting = await desk.enqueue("nobodys")
        with pytest.raises(ProjectBusyError, match="2 executions are pending or running"):
            await here.export(desk.project, file)
        assert not file.exists()
        await here.export(desk.project, file, unfinished_as_cancelled=True)
        desk.open_gate()
        assert (await desk.final(running)).status == "completed"
    await there.take_in(file)
    async with Client(there.settings) as client:
        for execution in (running, waiting):
            report = await client.execution(desk.project, execution)
            assert report.status == "cancelled"
            assert report.events[-1].event == "cancelled"
            assert report.events[-1].detail == {"reason": "under way when the project was exported"}


async def test_an_archive_is_of_one_moment(
    here: Place, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed between two of its tables is in none of them."""
    records = Records(here.database, desk.project, desk.user)
    before = await records.ended(DAY, number=3)
    add_rows = ArchiveWriter.add_rows

    async def disturbed(self: ArchiveWriter, table: str, *streams: AsyncIterator[str]) -> int:
        [new] = await records.ended(DAY)
        await records.version(new, table, 1)
        return await add_rows(self, table, *streams)

    monkeypatch.setattr(ArchiveWriter, "add_rows", disturbed)
    await here.export(desk.project, tmp_path / "a.zip")

    members = taken_apart(tmp_path / "a.zip")
    executions = {json.loads(line)["id"] for line in members["agent_executions.jsonl"].splitlines()}
    events = {
        json.loads(line)["execution_id"] for line in members["execution_events.jsonl"].splitlines()
    }
    assert executions == events == {str(id_) for id_ in before}
    assert members["document_versions.jsonl"] == b""


async def test_a_file_that_is_lost_is_told_and_has_expired_elsewhere(
    here: Place, there: Place, user: UUID, tmp_path: Path
) -> None:
    """The row goes along, and does not promise a file that nobody has."""
    records = Records(here.database, await here.database.add_project(user), user)
    [execution] = await records.ended(DAY)
    await records.export(execution, "lost.zip")
    manifest = await here.export(records.project, tmp_path / "a.zip")
    assert manifest.missing_files == [f"{records.project}/lost.zip"]
    await there.take_in(tmp_path / "a.zip")
    assert [row["status"] for row in await there.database.ask("SELECT status FROM exports")] == [
        "expired"
    ]


async def test_an_existing_file_is_not_written_over(
    here: Place, project: UUID, tmp_path: Path
) -> None:
    """And a failed export leaves nothing behind; a good one is its owner's alone."""
    file = tmp_path / "a.zip"
    file.write_text("precious")
    with pytest.raises(InputInvalidError, match="FILE"):
        await here.export(project, file)
    with pytest.raises(NotFoundError):
        await here.export(uuid4(), tmp_path / "b.zip")
    assert file.read_text() == "precious"
    assert {name for name in os.listdir(tmp_path) if "zip" in name} == {"a.zip"}  # noqa: PTH208 - async
    await here.export(project, tmp_path / "c.zip")
    assert (tmp_path / "c.zip").stat().st_mode & 0o777 == 0o600


async def test_files_need_their_directory(here: Place, user: UUID, tmp_path: Path) -> None:
    """An archive without the files of its rows is not made by accident."""
    records = Records(here.database, await here.database.add_project(user), user)
    [execution] = await records.ended(DAY)
    await records.export(execution, "a.zip")
    here.settings = here.settings.model_copy(update={"exports_directory": None})
    with pytest.raises(SettingsError, match="COPYDESK_EXPORTS_DIRECTORY"):
        await here.export(records.project, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_the_formats_columns_are_the_models_of_its_version() -> None:
    """A column that is added needs a new version of the format, which still reads the old one."""
    left_out = {
        "users": {"created_at"},
        "agent_executions": {"lease_expires_at"},
        "execution_events": {"id"},
    }
    assert set(COLUMNS) == {"users", *project_owned()}
    for table, columns in COLUMNS.items():
        names = {column.name for column in Base.metadata.tables[table].columns}
        assert set(columns) == names - left_out.get(table, set()), table
