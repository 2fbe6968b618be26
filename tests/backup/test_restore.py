"""`copydesk restore`: only what is whole, only into what is empty, and never unverified."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backup.conftest import StartCommand, contents
from tests.support.databases import DatabaseUrls
from tests.support.estimates import TOLD, told
from worker import migrate
from worker.backup import Restored, RestoreError, back_up, manifest_path, restore
from worker.backup.manifest import hash_file


async def restored(database: DatabaseUrls, dump: Path, said: list[str] | None = None) -> Restored:
    """Restore as the administrator, and check with the running roles."""
    return await restore(
        database.admin,
        dump,
        app_url=database.app,
        dispatch_url=database.dispatch,
        say=([] if said is None else said).append,
    )


async def refusal(database: DatabaseUrls, dump: Path) -> str:
    """Return why it is not restored; the database stays empty."""
    with pytest.raises(RestoreError) as refused:
        await restored(database, dump)
    assert refused.value.code == "restore_failed"
    assert await contents(database) == {}
    return str(refused.value)


def change(dump: Path, **fields: Any) -> None:
    """Write other things into the manifest of a dump."""
    file = manifest_path(dump)
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def damage(dump: Path, how: str) -> None:
    """Do something to a dump that nobody should."""
    content = bytearray(dump.read_bytes())
    if how == "gone":
        dump.unlink()
        return
    if how == "cut off":
        del content[-1:]
    elif how == "one byte":
        content[len(content) // 2] ^= 1
    else:
        content[-40:] = bytes(40)
    dump.write_bytes(content)


async def test_the_owner_restores_without_other_rights(
    database: DatabaseUrls, dump: Path, new_database: DatabaseUrls
) -> None:
    """Where the roles are there and the database is its own, no administrator is needed."""
    await new_database.ask(f"ALTER DATABASE {new_database.name} OWNER TO copydesk_owner")
    said: list[str] = []
    done = await restore(
        new_database.owner,
        dump,
        app_url=new_database.app,
        dispatch_url=new_database.dispatch,
        say=said.append,
    )
    assert done.isolation_checked
    assert await contents(new_database) == await contents(database)
    assert await migrate.check(new_database.owner) == []
    assert await told(new_database) == TOLD


async def test_what_cannot_be_checked_is_said(
    database: DatabaseUrls, dump: Path, new_database: DatabaseUrls
) -> None:
    """Isolation takes the running roles' URLs, and they must lead to what was restored."""
    said: list[str] = []
    done = await restore(
        new_database.admin,
        dump,
        app_url=database.app,
        dispatch_url=new_database.dispatch,
        say=said.append,
    )
    assert not done.isolation_checked
    assert any("leads elsewhere" in line for line in said)


async def test_a_dump_of_an_older_revision_is_restored_and_asks_for_an_upgrade(
    database: DatabaseUrls, new_database: DatabaseUrls, tmp_path: Path
) -> None:
    """The schema comes as it was; the upgrade brings it to today's."""
    await database.add_project(await database.add_user())
    await migrate.downgrade(database.admin, "-1")
    dump, manifest = await back_up(database.admin, tmp_path / "old.dump", say=lambda _: None)
    assert manifest.revision != migrate.head_revision()
    said: list[str] = []
    done = await restored(new_database, dump, said)
    assert not done.is_current
    assert "run `copydesk db upgrade`" in said[-1]
    await migrate.upgrade(new_database.admin)
    assert await migrate.check(new_database.admin) == []
    assert (await new_database.ask("SELECT count(*) AS n FROM projects"))[0]["n"] == 1


async def test_a_database_that_is_not_empty_is_refused(
    database: DatabaseUrls, dump: Path, new_database: DatabaseUrls
) -> None:
    """Neither another copydesk nor anything else is mixed with what is restored."""
    before = await contents(database)
    with pytest.raises(RestoreError, match="is not empty"):
        await restored(database, dump)
    assert await contents(database) == before
    await new_database.ask("CREATE SCHEMA other CREATE TABLE a_table (id integer)")
    assert "other.a_table" in await refusal(new_database, dump)


async def test_a_dump_without_its_manifest_is_refused(
    dump: Path, new_database: DatabaseUrls
) -> None:
    """What cannot be verified is not restored."""
    manifest_path(dump).unlink()
    assert "not restored unverified" in await refusal(new_database, dump)


@pytest.mark.parametrize("how", ["cut off", "one byte", "gone"])
async def test_a_damaged_dump_is_refused(how: str, dump: Path, new_database: DatabaseUrls) -> None:
    """Size and SHA-256 are looked at before anything is restored."""
    damage(dump, how)
    expected = {"cut off": "cut off", "one byte": "another SHA-256", "gone": "cannot be read"}
    assert expected[how] in await refusal(new_database, dump)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": 2}, "format: "),
        ({"rows": {"users": -1}}, "rows.users: "),
        ({"more": 1}, "more: "),
        ({"revision": "9999_later"}, "is of revision 9999_later"),
        ({"server": "99.1"}, "the dump is of PostgreSQL 99.1, and this is 18."),
    ],
    ids=["format", "figures", "an unknown field", "a later copydesk", "a later PostgreSQL"],
)
async def test_a_manifest_that_fits_nothing_here_is_refused(
    fields: dict[str, Any], words: str, dump: Path, new_database: DatabaseUrls
) -> None:
    """Each names what does not fit, and which program would do."""
    change(dump, **fields)
    assert words in await refusal(new_database, dump)


async def test_a_manifest_that_is_no_json_is_refused(
    dump: Path, new_database: DatabaseUrls
) -> None:
    """Half a manifest is none."""
    manifest_path(dump).write_text('{"format": 1, ')
    assert "is not a manifest of this copydesk" in await refusal(new_database, dump)


async def test_rows_that_are_missing_are_found_out(
    start_command: StartCommand, dump: Path, new_database: DatabaseUrls
) -> None:
    """The counts are compared table by table, and the exit code says that it failed."""
    rows = json.loads(manifest_path(dump).read_text())["rows"]
    change(dump, rows={**rows, "projects": 2, "invoices": 7})
    owner = {"COPYDESK_OWNER_URL": new_database.admin}
    async with start_command("restore", str(dump), **owner) as command:
        code, out, said = await command.ended()
    assert (code, out) == (1, "")
    assert "invoices has no table, and had 7" in said.splitlines()[-1]
    assert "projects has 1, and had 2" in said.splitlines()[-1]


async def test_what_was_restored_must_be_what_the_models_say(
    database: DatabaseUrls, new_database: DatabaseUrls, tmp_path: Path
) -> None:
    """A policy that was missing when the backup was made is missing afterwards, and told."""
    await database.ask("DROP POLICY project_guard ON exports")
    dump, _ = await back_up(database.backup, tmp_path / "open.dump", say=lambda _: None)
    with pytest.raises(RestoreError, match="policy project_guard on exports is declared and"):
        await restored(new_database, dump)


async def test_a_restoration_that_fails_leaves_the_database_empty(
    dump: Path, new_database: DatabaseUrls
) -> None:
    """All of it is one transaction; what PostgreSQL said is told without the row below it."""
    damage(dump, "its last data")
    change(dump, sha256=hash_file(dump))
    assert "pg_restore failed" in await refusal(new_database, dump)
