"""Commands on whole projects, from the project next door: what they remove, write and take in.

Each runs for real on a ground of its own, for the intruder's project; the other one has to be, row
for row and file for file, what it was before.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis as sync_redis

from tests.cli.conftest import Copydesk
from tests.conftest import make_settings
from tests.isolation.attack import Ground, fingerprint, prepare
from tests.maintenance.archives import put_together, taken_apart, vouched_for
from tests.support.databases import TEMPLATE, fresh_database
from worker.settings import Settings, secret


@pytest.fixture
def ground(admin_url: str) -> Iterator[Ground]:
    """Give each attack a ground of its own, since these do remove."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opened = fresh_database(admin_url, template=TEMPLATE)
        database = runner.run(opened.__aenter__())
        try:
            yield runner.run(prepare(database))
        finally:
            runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
def settings(ground: Ground, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of the ground, with files and keys of both projects."""
    settings = make_settings(ground.database, redis_url, exports_directory=tmp_path / "exports")
    with sync_redis.Redis.from_url(redis_url) as redis:
        for side in (ground.mine, ground.theirs):
            directory = tmp_path / "exports" / str(side.project)
            directory.mkdir(parents=True)
            (directory / "a.zip").write_text(side.canary)
            redis.set(f"proj:{side.project}:x", side.canary)
    return settings


@pytest.fixture
def command(copydesk: Copydesk, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Copydesk:
    """The command line with an exports directory and the roles of maintenance."""
    monkeypatch.setenv("COPYDESK_EXPORTS_DIRECTORY", str(settings.exports_directory))
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", secret(settings.dispatch_url))
    return copydesk


class Untouched:
    """The other project, compared with what it was."""

    def __init__(self, ground: Ground, settings: Settings) -> None:
        self._ground = ground
        self._settings = settings
        self._before = self._picture()

    def check(self) -> None:
        """Fail where anything has changed."""
        assert self._picture() == self._before

    def _picture(self) -> Any:
        theirs = self._ground.theirs
        root = self._settings.exports_directory
        assert root is not None
        with sync_redis.Redis.from_url(secret(self._settings.redis_url)) as redis:
            keys = [(key, redis.dump(key)) for key in redis.keys("*") if _is(theirs.project, key)]
        files = {path.name: path.read_bytes() for path in (root / str(theirs.project)).iterdir()}
        return asyncio.run(fingerprint(self._ground)), keys, files


def _is(project: UUID, key: Any) -> bool:
    return str(project).encode() in key


@pytest.fixture
def untouched(ground: Ground, settings: Settings) -> Untouched:
    """The other project as it is before the attack."""
    return Untouched(ground, settings)


def left(ground: Ground) -> int:
    """Return how many executions the intruder's project still has."""
    [row] = asyncio.run(
        ground.database.ask(
            "SELECT count(*) AS n FROM agent_executions WHERE project_id = $1", ground.mine.project
        )
    )
    return int(row["n"])


def lease_is_over(ground: Ground) -> None:
    """Let what runs in the intruder's project be abandoned."""
    asyncio.run(
        ground.database.ask(
            "UPDATE agent_executions SET lease_expires_at = now() WHERE project_id = $1 "
            "AND status = 'running'",
            ground.mine.project,
        )
    )


def test_deleting_one_project_leaves_the_other(
    command: Copydesk, ground: Ground, untouched: Untouched
) -> None:
    """Hopes that something shared goes along: a user, a message, a directory, a statistic."""
    lease_is_over(ground)
    said = command("project", "delete", str(ground.mine.project), "--yes")
    assert (said.code, said.err) == (0, "")
    assert left(ground) == 0
    assert ground.theirs.canary not in said.out
    untouched.check()


def test_pruning_one_project_leaves_the_other(
    command: Copydesk, ground: Ground, untouched: Untouched
) -> None:
    """Hopes that an age, a document type or a file name of one project counts for both."""
    before = left(ground)
    asyncio.run(
        ground.database.ask(
            "UPDATE agent_executions SET created_at = created_at - interval '9 days', completed_at "
            "= completed_at - interval '9 days'"
        )
    )
    untouched = Untouched(ground, untouched._settings)
    said = command(
        *("prune", "--project", str(ground.mine.project), "--older-than", "1d"),
        *("--documents", "--yes"),
    )
    assert (said.code, said.err) == (0, "")
    assert 0 < left(ground) < before
    untouched.check()


def test_an_archive_of_one_project_has_nothing_of_the_other(
    command: Copydesk, ground: Ground, untouched: Untouched, tmp_path: Path
) -> None:
    """Hopes for a row, a file or a user of the other project in one's own archive."""
    file = tmp_path / "mine.zip"
    said = command(
        *("project", "export", str(ground.mine.project), str(file)),
        "--unfinished-as-cancelled",
    )
    assert said.code == 0
    content = b"".join(taken_apart(file).values())
    assert ground.mine.canary.encode() in content
    for word in (ground.theirs.canary, str(ground.theirs.project)):
        assert word.encode() not in content
    untouched.check()


@pytest.mark.parametrize("planted", ["rows", "the manifest", "a file"])
def test_an_archive_plants_nothing_in_another_project(
    planted: str, command: Copydesk, ground: Ground, untouched: Untouched, tmp_path: Path
) -> None:
    """Hopes to add to the other project, or to replace its file, from an archive of one's own."""
    file = tmp_path / "mine.zip"
    mine, theirs = str(ground.mine.project), str(ground.theirs.project)
    command("project", "export", mine, str(file), "--unfinished-as-cancelled")
    lease_is_over(ground)
    assert command("project", "delete", mine, "--yes").code == 0
    members = taken_apart(file)
    if planted == "rows":
        for table in ("agent_executions", "execution_events", "document_versions"):
            name = f"{table}.jsonl"
            members[name] = members[name].replace(mine.encode(), theirs.encode(), 1)
    elif planted == "the manifest":
        members["manifest.json"] = members["manifest.json"].replace(mine.encode(), theirs.encode())
    else:
        members[f"files/../{theirs}/a.zip"] = b"mine now"
    said = command("project", "import", str(put_together(tmp_path / "x", vouched_for(members))))
    assert said.code == 2
    assert left(ground) == 0
    untouched.check()
