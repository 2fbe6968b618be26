"""`copydesk backup`: one file and its manifest, private and whole, or nothing at all."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.backup.conftest import SlowDump, StartCommand, put_in_place
from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker.backup import BackupError, back_up, manifest_path
from worker.backup.programs import find_program
from worker.errors import DatabaseUnavailableError
from worker.migrate import head_revision

PASSWORD = "hunter2-canary"


def nobody_listens(_line: str) -> None:
    """Take no notice of progress."""


def files(directory: Path) -> dict[Path, bytes]:
    """Return what stands in a directory."""
    found = sorted(directory.iterdir()) if directory.exists() else []
    return {file: file.read_bytes() for file in found if file.is_file()}


def is_private(file: Path) -> bool:
    """Whether nobody else may look into a file."""
    return file.stat().st_mode & 0o777 == 0o600


async def refusal(url: str, place: Path, *, replace: bool = False) -> str:
    """Return why no backup is made; nothing new is left in the directory."""
    before = files(place.parent)
    with pytest.raises(BackupError) as refused:
        await back_up(url, place, replace=replace, say=nobody_listens)
    assert files(place.parent) == before
    assert refused.value.code == "backup_failed"
    assert PASSWORD not in str(refused.value)
    return str(refused.value)


async def test_a_backup_is_a_private_file_and_a_manifest_that_says_what_is_in_it(
    start_command: StartCommand, database: DatabaseUrls, tmp_path: Path
) -> None:
    """In a directory it is named after the moment; progress goes to standard error."""
    user = await database.add_user()
    projects = [await database.add_project(user) for _ in range(3)]
    directory = tmp_path / "backups"
    directory.mkdir()
    async with start_command("backup", str(directory)) as command:
        code, out, said = await command.ended()
    assert code == 0, said
    file = Path(out.strip())
    assert file.parent == directory
    assert list(files(directory)) == [file, manifest_path(file)]
    assert all(is_private(each) for each in files(directory))
    content, manifest = files(directory)[file], json.loads(files(directory)[manifest_path(file)])
    assert manifest["format"] == 1
    assert manifest["copydesk"] == "0.1.0"
    assert manifest["revision"] == head_revision()
    assert manifest["server"].startswith("18.")
    assert manifest["database"] == database.name
    assert manifest["started_at"] < manifest["ended_at"]
    assert (manifest["rows"]["projects"], manifest["rows"]["users"]) == (len(projects), 1)
    assert manifest["bytes"] == len(content)
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert f"{sum(manifest['rows'].values())} rows in {len(manifest['rows'])} tables" in said
    assert all(line.startswith("copydesk: ") for line in said.splitlines())


async def test_the_password_stands_on_no_command_line(
    start_command: StartCommand, slow_dump: SlowDump, database: DatabaseUrls, tmp_path: Path
) -> None:
    """It goes to pg_dump by the environment; what everybody can list does not have it."""
    url = database.backup.replace("@", f":{PASSWORD}@", 1)
    slow_dump.let_go()
    path = f"{slow_dump.directory}:/usr/bin:/bin"
    async with start_command(
        "backup", str(tmp_path / "x"), PATH=path, COPYDESK_BACKUP_URL=url
    ) as command:
        code, out, said = await command.ended()
    assert code == 0, said
    arguments, _, rest = (slow_dump.asked or "").partition("\n")
    assert PASSWORD not in arguments + out + said
    assert f"PGPASSWORD={PASSWORD}" in rest


async def test_what_stands_there_is_replaced_only_by_force(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """A backup, or half of one, is nothing to write over by mistake."""
    place = tmp_path / "b.dump"
    place.write_text("precious")
    assert "--force" in await refusal(database.backup, place)
    place.rename(manifest_path(place))
    assert "--force" in await refusal(database.backup, place)
    await back_up(database.backup, place, replace=True, say=nobody_listens)
    assert json.loads(manifest_path(place).read_text())["bytes"] == place.stat().st_size


@pytest.mark.parametrize("way", ["a fault", "a signal"])
async def test_a_dump_that_fails_leaves_nothing_and_replaces_nothing(
    way: str, database: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a part of a file, and not an older backup spoilt; the fault is told, no row is."""
    programs, directory = tmp_path / "programs", tmp_path / "backups"
    programs.mkdir()
    directory.mkdir()
    end = "exit 1" if way == "a fault" else "kill -9 $$"
    put_in_place(
        programs,
        "pg_dump",
        'for each; do case "$each" in --file=*) echo half > "${each#--file=}";; esac; done\n'
        "echo 'pg_dump: error: the moon is full' >&2\n"
        f"echo 'pg_dump: detail: Failing row contains {PASSWORD}' >&2\n{end}\n",
    )
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    place = directory / "b.dump"
    place.write_text("an older one")
    assert "pg_dump failed: the moon is full" in await refusal(database.backup, place, replace=True)


async def test_a_backup_that_is_stopped_leaves_nothing_behind(
    start_command: StartCommand, slow_dump: SlowDump, tmp_path: Path
) -> None:
    """SIGTERM ends pg_dump too, and the exit code says interrupted."""
    directory = tmp_path / "backups"
    directory.mkdir()
    path = f"{slow_dump.directory}:/usr/bin:/bin"
    async with start_command("backup", str(directory / "b.dump"), PATH=path) as command:
        await until(lambda: slow_dump.asked, within=30)
        assert files(directory)
        command.process.send_signal(signal.SIGTERM)
        code, _, said = await command.ended()
    assert code == 130
    assert said.splitlines()[-1] == "copydesk: interrupted"
    assert files(directory) == {}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that no dump fits on."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = (shutil.which(name) or f"/bin/{name}" for name in ("mount", "umount"))
    options = [mount, "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if subprocess.run(options, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a disk of the test's own")
    yield place
    subprocess.run([umount, str(place)], check=True)


async def test_a_full_disk_is_told_and_left_empty(database: DatabaseUrls, tiny_disk: Path) -> None:
    """There is no room for the dump, and none is taken up afterwards."""
    assert "No space left on device" in await refusal(database.backup, tiny_disk / "b.dump")


async def test_a_place_that_cannot_be_written_is_told(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """Nobody makes directories for a mistyped path."""
    assert "is no directory" in await refusal(database.backup, tmp_path / "no" / "b.dump")


async def test_a_role_that_row_level_security_binds_is_refused(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """It would see no project, or fail in the middle; the remedy is one statement."""
    bound = f"test_{uuid4().hex}"
    await database.ask(f"CREATE ROLE {bound} LOGIN IN ROLE copydesk_backup")
    try:
        for url in (database.as_role(bound), database.app, database.owner):
            said = await refusal(url, tmp_path / "b.dump")
            assert "row level security hides every project" in said
            assert "ALTER ROLE copydesk_backup BYPASSRLS" in said
    finally:
        await database.ask(f"DROP ROLE {bound}")


async def test_what_the_role_may_not_read_is_named(database: DatabaseUrls, tmp_path: Path) -> None:
    """A backup with a hole in it is none, whoever's the table is."""
    await database.ask("CREATE TABLE somebody_elses (id integer)")
    said = await refusal(database.backup, tmp_path / "b.dump")
    assert "permission denied for table somebody_elses" in said
    assert "copydesk db check" in said


async def test_a_database_without_copydesk_is_refused(empty_database: str, tmp_path: Path) -> None:
    """An empty backup of the wrong database would be found out too late."""
    url = empty_database.replace("postgres@", "copydesk_backup@", 1)
    assert "there is no copydesk" in await refusal(url, tmp_path / "b.dump")


async def test_a_server_that_does_not_answer_is_told_as_one(tmp_path: Path) -> None:
    """Exit code 3 invites another try; no password shows."""
    url = f"postgresql://copydesk_backup:{PASSWORD}@127.0.0.1:1/x"
    with pytest.raises(DatabaseUnavailableError) as unavailable:
        await back_up(url, tmp_path / "b.dump", say=nobody_listens)
    assert PASSWORD not in str(unavailable.value)
    assert files(tmp_path) == {}


async def test_a_pg_dump_that_is_too_old_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that is new enough is taken; where there is none, all there are are named."""
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 17.9 (Debian)'\n")
    old.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = await find_program("pg_dump", at_least=18, fault=BackupError)
    assert found != old
    assert await find_program("pg_dump", at_least=17, fault=BackupError) == old
    with pytest.raises(BackupError) as none:
        await find_program("pg_dump", at_least=99, fault=BackupError)
    assert f"{old} is 17" in str(none.value)
    assert "install postgresql-client-99, or copydesk[backup]" in str(none.value)


async def test_the_setting_is_needed(start_command: StartCommand, tmp_path: Path) -> None:
    """No other role is taken in its place."""
    empty = {"COPYDESK_BACKUP_URL": ""}
    async with start_command("backup", str(tmp_path / "b"), **empty) as command:
        code, _, said = await command.ended()
    assert code == 2
    assert "COPYDESK_BACKUP_URL" in said
