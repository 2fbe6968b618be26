"""What is no archive, or does not fit here, is refused with a reason and leaves nothing."""

import zipfile
from pathlib import Path
from uuid import uuid4

import pytest

from tests.maintenance.archives import put_together, taken_apart, vouched_for
from tests.maintenance.place import Place, Sound, refusal
from worker.errors import ArchiveInvalidError, SettingsError
from worker.maintenance.archive import reading


async def test_a_sound_archive_is_taken_once(sound: Sound, there: Place) -> None:
    """So the refusals are for what was changed; a second time it is here already."""
    counts = await there.take_in(sound.archive)
    assert counts["agent_executions"] == 3
    assert counts["files"] == 1
    assert "there is a project" in await refusal(there, sound.archive, code="project_exists")
    assert str(sound.project) in str(await there.everything())


@pytest.mark.parametrize("part", [0.01, 0.3, 0.7, 0.99])
async def test_a_truncated_archive_is_refused(
    part: float, sound: Sound, there: Place, tmp_path: Path
) -> None:
    """Wherever it ends too early."""
    whole = sound.archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * part)])
    assert "cut short" in await refusal(there, tmp_path / "cut.zip")


async def test_every_damaged_byte_is_found(sound: Sound, there: Place, tmp_path: Path) -> None:
    """A byte that flips on its way, anywhere: refused, or, in padding, without any consequence."""
    whole = sound.archive.read_bytes()
    file = tmp_path / "damaged.zip"
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            with reading.opened_archive(file) as damaged:
                damaged.verify()
                assert damaged.manifest.members
        except ArchiveInvalidError:
            continue
        assert taken_apart(file) == taken_apart(sound.archive), place
    assert await there.everything() == set()


async def test_what_is_no_archive_is_refused(there: Place, tmp_path: Path) -> None:
    """A text, an empty file, another ZIP, a directory, nothing."""
    (tmp_path / "text").write_text("hello" * 100)
    (tmp_path / "empty").touch()
    put_together(tmp_path / "other.zip", {"a.txt": b"a"})
    assert "is no project archive" in await refusal(there, tmp_path / "text")
    assert "is no project archive" in await refusal(there, tmp_path / "empty")
    assert "is no project archive" in await refusal(there, tmp_path / "other.zip")
    assert "FILE" in await refusal(there, tmp_path, code="input_invalid")
    assert "FILE" in await refusal(there, tmp_path / "nothing", code="input_invalid")


async def test_an_archive_that_would_fill_the_disk_is_refused(
    sound: Sound, there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what its manifest says, and where that lies, by what comes out of it."""
    monkeypatch.setattr(reading, "_SUSPICIOUS_FROM", 1_000_000)
    members = taken_apart(sound.archive)
    name = f"files/{sound.file}"
    bomb = put_together(tmp_path / "a.zip", vouched_for({**members, name: bytes(50_000_000)}))
    assert "bytes unpacked" in await refusal(there, bomb)
    # The ZIP's directory says what the manifest says, and both lie.
    small = vouched_for(members)
    liar = put_together(tmp_path / "liar.zip", {**small, name: bytes(50_000_000)})
    raw = liar.read_bytes().replace(
        (50_000_000).to_bytes(4, "little"), len(members[name]).to_bytes(4, "little")
    )
    liar.write_bytes(raw)
    assert name in await refusal(there, liar)


async def test_a_directory_without_end_is_not_read(
    there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Millions of members would take the memory before anything else is looked at."""
    monkeypatch.setattr(reading, "_MOST_MEMBERS", 70_000)
    many = put_together(
        tmp_path / "many.zip", {str(n): b"" for n in range(70_001)}, compress=zipfile.ZIP_STORED
    )
    assert "has 70001 members" in await refusal(there, many)


async def test_members_twice_and_locked_ones_are_refused(
    sound: Sound, there: Place, tmp_path: Path
) -> None:
    """Two of one name could be checked and used in turns; another packing hides a size."""
    members = taken_apart(sound.archive)
    twice = tmp_path / "twice.zip"
    put_together(twice, members)
    with zipfile.ZipFile(twice, "a") as more, pytest.warns(UserWarning, match="Duplicate"):
        more.writestr("users.jsonl", members["users.jsonl"])
    assert "two members of one name" in await refusal(there, twice)
    packed = put_together(tmp_path / "packed.zip", members, compress=zipfile.ZIP_LZMA)
    assert "packed in another way" in await refusal(there, packed)


async def test_users_are_known_by_their_address(there: Place, sound: Sound) -> None:
    """A known one keeps name and id; the project's rows name the id that is known here."""
    [known] = await there.database.ask(
        "INSERT INTO users (email, name) VALUES ($1, 'Known') RETURNING id", sound.email
    )
    counts = await there.take_in(sound.archive)
    assert counts["users"] == 0
    for column in (
        "projects.created_by",
        "agent_executions.requested_by",
        "document_versions.created_by",
    ):
        table, name = column.split(".")
        found = await there.database.ask(f"SELECT DISTINCT {name} AS id FROM {table}")  # noqa: S608
        assert [row["id"] for row in found] == [known["id"]]
    assert await there.database.ask("SELECT name FROM users") == [("Known",)]


async def test_an_id_that_somebody_else_has_is_not_taken(there: Place, sound: Sound) -> None:
    """The new user gets another id; nobody's work is put down to a stranger."""
    await there.database.ask(
        "INSERT INTO users (id, email, name) VALUES ($1, 'other@example.com', 'Other')", sound.user
    )
    assert (await there.take_in(sound.archive))["users"] == 1
    [row] = await there.database.ask("SELECT DISTINCT requested_by AS id FROM agent_executions")
    assert row["id"] != sound.user


async def test_the_project_can_get_another_owner(there: Place, sound: Sound) -> None:
    """Created where there is none; who asked for what stays as it was."""
    assert (await there.take_in(sound.archive, owner_email="new@example.com"))["users"] == 2
    [row] = await there.database.ask(
        "SELECT u.email FROM projects p JOIN users u ON u.id = p.created_by"
    )
    assert row["email"] == "new@example.com"
    assert (
        await there.database.ask(
            "SELECT 1 FROM agent_executions e JOIN projects p ON p.id = e.project_id "
            "WHERE e.requested_by = p.created_by"
        )
        == []
    )


async def test_ids_of_another_project_here_are_not_taken_over(
    there: Place, sound: Sound, tmp_path: Path
) -> None:
    """The same executions under another project's id: refused, and theirs are as they were."""
    stolen = uuid4()
    members = taken_apart(sound.archive)
    changed = {
        name: content.replace(str(sound.project).encode(), str(stolen).encode())
        for name, content in members.items()
    }
    file = put_together(tmp_path / "stolen.zip", vouched_for(changed))
    await there.take_in(sound.archive)
    said = await refusal(there, file, code="project_exists")
    assert "pk_agent_executions" in said


async def test_files_need_a_directory(there: Place, sound: Sound) -> None:
    """A row without its file would be a promise that nobody keeps."""
    there.settings = there.settings.model_copy(update={"exports_directory": None})
    with pytest.raises(SettingsError, match="COPYDESK_EXPORTS_DIRECTORY"):
        await there.take_in(sound.archive)
    assert await there.database.ask("SELECT 1 FROM projects") == []


async def test_a_file_that_is_there_already_is_not_written_over(there: Place, sound: Sound) -> None:
    """Unless it is the very same, which a killed import has left."""
    assert there.settings.exports_directory is not None
    directory = there.settings.exports_directory / str(sound.project)
    directory.mkdir(parents=True)
    file = directory / sound.file
    file.write_text("somebody's")
    await refusal(there, sound.archive, code="export_files")
    assert file.read_text() == "somebody's"

    file.write_bytes(b"the notes")
    await there.take_in(sound.archive)
    await refusal(there, sound.archive, code="project_exists")
    assert file.exists()
