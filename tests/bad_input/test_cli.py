"""The command line's door: one line on standard error, an exit code, and nothing recorded."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.bad_input.place import Place, open_place
from tests.bad_input.row import CANARY, Row, each
from tests.bad_input.table import cli as table
from tests.cli.conftest import Copydesk, Said, runner
from tests.conftest import _ADMIN
from worker.settings import secret


class Beside:
    """A place whose worker runs in a thread, beside commands that have loops of their own."""

    def __init__(self, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self.place = place
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the place's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @contextmanager
    def unharmed(self, *, accepts: int = 0) -> Iterator[None]:
        """As `Place.unharmed`."""
        looking = self.place.unharmed(accepts=accepts)
        self.run(looking.__aenter__())
        yield
        self.run(looking.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def beside(own_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """The module's place, and a worker in a thread."""
    ready, over = threading.Event(), asyncio.Event()
    found: list[Beside] = []

    async def stay() -> None:
        directory = tmp_path_factory.mktemp("place")
        async with open_place(os.environ[_ADMIN], own_redis_url, directory) as place:
            found.append(Beside(place, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stay()))
    thread.start()
    assert ready.wait(30)
    yield found[0]
    found[0]._loop.call_soon_threadsafe(over.set)
    thread.join(30)


@pytest.fixture
def copydesk(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Copydesk:
    """Run `copydesk ...` for the place's project and user."""
    settings = beside.place.settings
    monkeypatch.setenv("COPYDESK_DATABASE_URL", secret(settings.database_url))
    monkeypatch.setenv("COPYDESK_REDIS_URL", secret(settings.redis_url))
    monkeypatch.setenv("COPYDESK_PROJECT", str(beside.place.project))
    monkeypatch.setenv("COPYDESK_USER", str(beside.place.user))
    return runner(monkeypatch, capsys)


def check(row: Row, said: Said) -> None:
    """One line that names field and rule, the exit code, and no word of what was given."""
    assert (str(said.code), said.out) == (row.code, ""), said.err
    assert said.err.startswith("copydesk: ")
    assert row.field in said.err
    assert row.rule in said.err
    assert said.err.endswith("\n")
    assert said.err[:-1].isprintable(), ascii(said.err)
    assert CANARY not in said.err


@each(table.REFUSED)
def test_wrong_use_is_one_line_and_an_exit_code(
    row: Row, beside: Beside, copydesk: Copydesk
) -> None:
    """No traceback, no usage page."""
    with beside.unharmed():
        check(row, copydesk(*row.input))


@each(table.ENVIRONMENT)
def test_a_project_comes_from_nowhere_else(
    row: Row, beside: Beside, copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in the environment, several, or one that is none: nothing is guessed."""
    with beside.unharmed():
        if row.input is None:
            monkeypatch.delenv("COPYDESK_PROJECT")
        else:
            monkeypatch.setenv("COPYDESK_PROJECT", row.input)
        for command in (("documents",), ("enqueue", "echo"), ("failed",), ("show", "notes")):
            check(row, copydesk(*command))


@each(table.FILES)
def test_a_file_that_is_no_input_is_refused(
    row: Row, beside: Beside, copydesk: Copydesk, tmp_path: Path
) -> None:
    """Whatever stands in it."""
    file = tmp_path / "input.json"
    file.write_bytes(row.input)
    with beside.unharmed():
        check(row, copydesk("enqueue", "echo", "--input", f"@{file}"))


def test_b10_a_file_without_end_is_given_up(
    beside: Beside, copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is read than could be stored."""
    monkeypatch.setattr("worker.cli.executions._LARGEST", 1_000_000)
    with beside.unharmed():
        said = copydesk("enqueue", "echo", "--input", "@/dev/zero")
    assert said.code == 2
    assert said.err == "copydesk: --input: is larger than 1000000 characters\n"


@each(table.INERT)
def test_a_document_is_stored_as_it_is_and_shown_inert(
    row: Row, beside: Beside, copydesk: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pipe it is the document, to the byte; a terminal is told nothing by it."""
    place = beside.place
    name = row.what.replace("-", "_")
    with beside.unharmed(accepts=1):
        given = {"document_type": name, "content": row.input}
        report = beside.run(place.run("import_document", given))
        assert report.status == "completed"
    [stored] = beside.run(
        place.database.ask("SELECT content FROM document_versions WHERE document_type = $1", name)
    )
    assert stored["content"] == row.input
    assert copydesk("show", name).out == row.input + "\n"
    terminal = Console(force_terminal=True, width=200, color_system=None, highlight=False)
    monkeypatch.setattr("worker.cli.documents.console", lambda: terminal)
    for command in (("show", name), ("show", name, "--json")):
        shown = copydesk(*command).out
        assert not set(shown) & {"\x1b", "\r", "\x07", "\x9b", "\u2028"}
        assert "tracker.example" not in shown or "--json" in command


def test_b42_a_message_of_an_agent_is_one_line_of_a_list(
    beside: Beside, copydesk: Copydesk
) -> None:
    """What an agent says cannot forge a row, or speak to a terminal."""
    place = beside.place
    with beside.unharmed(accepts=1):
        report = beside.run(place.run("raises", {"kind": "message_moves_the_cursor"}))
    for command in (("failed",), ("status", str(report.correlation_id))):
        said = copydesk(*command)
        assert said.code == 0
        assert len([line for line in said.out.splitlines() if "forged" in line]) == 1
        assert not any(line.startswith("forged") for line in said.out.splitlines())
        assert "\x1b" not in said.out
