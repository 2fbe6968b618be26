"""The command line: every command, from each of two projects, with the other's ids.

Standard output, standard error and exit code have to be, byte for byte but for ids and times, what
they are for ids that nobody has.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main

from tests.cli.conftest import Copydesk
from tests.conftest import make_settings
from tests.isolation import test_attack_maintenance
from tests.isolation.attack import Ground, Side, fingerprint, forget_what_was_made, masked
from worker.cli import app
from worker.settings import Settings

Command = Callable[[Ground, Side], tuple[str, ...]]

ATTACKS: dict[str, list[Command]] = {
    "enqueue": [
        lambda ground, given: (
            *("enqueue", "dormant", "--by", str(ground.user)),
            *("--correlation-id", str(given.correlation), "--idempotency-key", given.key),
            *("--input", f'{{"project_id": "{given.project}"}}'),
        )
    ],
    "status": [
        lambda _, given: ("status", str(given.correlation)),
        lambda _, given: ("status", str(given.completed), "--json"),
        lambda _, given: ("status", str(given.correlation), "--watch"),
        lambda _, given: ("status", str(given.correlation), "--watch", "--json"),
    ],
    "cancel": [
        lambda _, given: ("cancel", str(given.pending)),
        lambda _, given: ("cancel", str(given.running), "--reason", "x"),
        lambda _, given: ("cancel", str(given.completed)),
    ],
    "documents": [
        lambda _, __: ("documents",),
        lambda _, __: ("documents", "--json"),
    ],
    "show": [
        lambda _, given: ("show", given.document_type),
        lambda _, given: ("show", given.document_type, "--version", "1", "--json"),
    ],
    "search": [
        lambda _, given: ("search", "--text", given.canary),
        lambda _, given: ("search", "--metadata", f'{{"text": "{given.canary}"}}'),
        lambda _, given: ("search", "--output", f'{{"text": "{given.canary}"}}', "--json"),
    ],
    "stats": [
        lambda _, __: ("stats",),
        lambda _, __: ("stats", "--json"),
    ],
    "failed": [
        lambda _, __: ("failed",),
        lambda _, __: ("failed", "--json"),
    ],
    "retry": [
        lambda _, given: ("retry", str(given.failed)),
        lambda _, given: ("retry", str(given.pending)),
        lambda _, __: ("retry", "--all"),
    ],
}

NAME_NO_PROJECT = {
    "demo": "makes a project of its own, on servers of its own",
    "dev": "serves all projects",
    "worker": "serves all projects",
    "quarantine": "shows messages that could be read for no project",
    "agents": "reads no database",
    "backup": "reads every project, as a role of its own that no running process has",
    "restore": "fills a database that is empty",
    "doctor": "reads the catalog, figures of the server, and ids and counts of executions",
    "project create": "makes a project that nobody has yet",
    "db upgrade": "the owner's, who sees no row",
    "db downgrade": "the owner's",
    "db current": "the owner's",
    "db check": "the owner's",
    "db revision": "the owner's",
    "reindex": "touches no row",
    "project import": "names its project in the archive; attacked in test_attack_maintenance.py",
}

# These act on a project as a whole; with nothing but another project's id there is no mixing them.
WHOLE_PROJECTS = {
    "prune": "test_pruning_one_project_leaves_the_other",
    "project delete": "test_deleting_one_project_leaves_the_other",
    "project export": "test_an_archive_of_one_project_has_nothing_of_the_other",
}


@pytest.fixture
def settings(ground: Ground, redis_url: str) -> Settings:
    """Settings of the ground."""
    return make_settings(ground.database, redis_url)


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the whole name of every command there is, and the names of its parameters."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", {parameter.name for parameter in command.params}


def test_every_command_is_attacked() -> None:
    """A command that is added is attacked here, or named where it takes no project."""
    found = dict(commands(typer.main.get_command(app._app())))
    assert set(found) == set(ATTACKS) | set(NAME_NO_PROJECT) | set(WHOLE_PROJECTS)
    about_a_project = {name for name, takes in found.items() if "project" in takes}
    assert about_a_project == set(ATTACKS) | set(WHOLE_PROJECTS)
    assert all(hasattr(test_attack_maintenance, name) for name in WHOLE_PROJECTS.values())
    ids = {"correlation_id", "execution_id", "requested_by", "document_type"}
    assert {name for name, takes in found.items() if ids & takes} <= set(ATTACKS)


@pytest.fixture(params=["mine asks", "they ask"])
def sides(request: pytest.FixtureRequest, ground: Ground) -> Ground:
    """Give the ground from each side in turn."""
    return ground if request.param == "mine asks" else ground.turned()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_command_with_the_others_ids_is_one_with_nobodys(
    name: str, sides: Ground, copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hopes for any difference in what is printed, where, and with which code."""
    monkeypatch.setenv("COPYDESK_PROJECT", str(sides.mine.project))
    before = asyncio.run(fingerprint(sides))
    for command in ATTACKS[name]:
        answers = []
        for given in (sides.theirs, Side.nobodys()):
            said = copydesk(*command(sides, given))
            asyncio.run(forget_what_was_made(sides))
            assert sides.theirs.canary not in said.out + said.err
            answers.append((said.code, masked(said.out, given), masked(said.err, given)))
        assert answers[0] == answers[1], command(sides, sides.theirs)
    assert asyncio.run(fingerprint(sides)) == before


def test_a_command_about_ones_own_work_says_more(
    ground: Ground, copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the last test has something to miss."""
    monkeypatch.setenv("COPYDESK_PROJECT", str(ground.mine.project))
    for name in ("status", "show", "documents", "failed", "search", "stats"):
        said = copydesk(*ATTACKS[name][-1](ground, ground.mine))
        assert said.code in {0, 1}
        assert ground.mine.canary in said.out or ground.mine.document_type in said.out


def test_two_projects_cannot_be_named_at_once(
    ground: Ground, copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hopes that the environment's project is checked and the option's used, or both."""
    monkeypatch.setenv("COPYDESK_PROJECT", f"{ground.mine.project} {ground.theirs.project}")
    for options in (
        (),
        ("--project", str(ground.mine.project), "--project", str(ground.theirs.project)),
    ):
        said = copydesk("documents", *options)
        assert (said.code, said.out) == (2, "")
        assert str(ground.theirs.project) not in said.err
