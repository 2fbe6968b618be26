"""Commands on a database without a schema, or with another one: one line that says what to do."""

from uuid import uuid4

import pytest

import migrations
from tests.cli.conftest import Copydesk
from tests.support.databases import DatabaseUrls

COMMANDS = {
    "status": ("status", str(uuid4())),
    "documents": ("documents",),
    "show": ("show", "plan"),
    "enqueue": ("enqueue", "review", "--by", str(uuid4())),
    "cancel": ("cancel", str(uuid4())),
    "failed": ("failed",),
    "retry": ("retry", str(uuid4())),
    "project create": ("project", "create", "Garden", "--by", "writer@example.com"),
}
UPGRADE = "run `copydesk db upgrade`"


@pytest.fixture
def elsewhere(copydesk: Copydesk, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Copydesk:
    """The command line on an empty database."""
    urls = DatabaseUrls("", empty_database)
    monkeypatch.setenv("COPYDESK_DATABASE_URL", urls.app)
    monkeypatch.setenv("COPYDESK_OWNER_URL", urls.admin)
    monkeypatch.setenv("COPYDESK_PROJECT", str(uuid4()))
    return copydesk


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_schema_a_command_ends_with_not_now_and_the_remedy(
    elsewhere: Copydesk, command: str
) -> None:
    """Somebody who has installed it and forgot to migrate is told how, whatever they begin with."""
    said = elsewhere(*COMMANDS[command])
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("copydesk: the schema is at revision none")
    assert said.err.endswith(f"{UPGRADE}\n")
    assert len(said.err.splitlines()) == 1


def test_check_without_a_schema_says_the_same(elsewhere: Copydesk) -> None:
    """As a finding among others."""
    said = elsewhere("db", "check")
    assert said.code == 1
    assert UPGRADE in said.out


@pytest.fixture
async def later(database: DatabaseUrls) -> str:
    """The revision that the database is at: one that a later copydesk has."""
    await database.ask("UPDATE alembic_version SET version_num = '9999_later'")
    return "9999_later"


@pytest.mark.parametrize("command", [("upgrade",), ("downgrade", "base"), ("check",)])
def test_commands_for_the_schema_leave_a_later_one_alone(
    copydesk: Copydesk, later: str, command: tuple[str, ...]
) -> None:
    """They name the revision they do not know, and what to do."""
    said = copydesk("db", *command)
    assert said.code == 1
    told = said.out + said.err
    assert f"{later}, this copydesk works with {migrations.latest()}: install" in told
    assert len(told.splitlines()) == 1
