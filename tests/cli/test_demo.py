"""`copydesk demo`: the main job on a file, with servers of its own that never outlive it."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.waiting import until

NOTES = "# Notes\n\nThis are notes about teh garden. It is an great place to be in the spring.\n"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A Markdown file with mistakes."""
    file = tmp_path / "My Notes.md"
    file.write_text(NOTES)
    return file


async def demo(
    home: Path, file: Path, *, stdout: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    """Start the demo as a newcomer would, in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "--home", str(home), "demo", str(file)),
        stdout=stdout,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if "COPYDESK_TEST" not in name},
    )


def servers_left(home: Path) -> list[str]:
    """Return the locks of servers of this home that some process still holds."""
    held = []
    for lock in home.glob("*.lock"):
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(lock.name)
    return held


async def test_in_a_pipe_the_demo_tells_the_whole_story_in_plain_lines(
    notes: Path, tmp_path: Path
) -> None:
    """Five completed executions, four versions with scores, commands to go on; twice in a row."""
    home = tmp_path / "home"
    for _ in range(2):
        process = await demo(home, notes)
        async with asyncio.timeout(60):
            said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said
        assert "\x1b" not in said
        for agent in ("import_document", "review", "revise", "export"):
            assert re.search(rf"^{agent} +completed", said, re.MULTILINE), said
        assert re.search(r"^my_notes +2 +[\d.]+ +[\d.]+ +revise", said, re.MULTILINE), said
        assert "show my_notes --version 2" in said
        assert "export COPYDESK_PROJECT=" in said
        assert servers_left(home) == []


async def test_on_a_terminal_the_demo_draws(notes: Path, tmp_path: Path) -> None:
    """A terminal gets a live table instead of lines."""
    ours, theirs = pty.openpty()
    process = await demo(tmp_path / "home", notes, stdout=theirs)
    os.close(theirs)
    drawn = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while True:
            try:
                chunk = await loop.run_in_executor(None, os.read, ours, 65536)
            except OSError:  # the other end is closed
                break
            drawn += chunk
        assert await process.wait() == 0
    os.close(ours)
    assert b"\x1b[" in drawn
    assert b"waiting" in drawn
    assert b"completed" in drawn


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_no_server_outlives_a_demo_that_is_cut_short(
    notes: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C, a polite end and a crash: nothing of it is left."""
    home = tmp_path / "home"
    process = await demo(home, notes)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"correlation" not in await process.stdout.readline():
            continue
        process.send_signal(number)
        await process.communicate()
    assert process.returncode != 0
    await until(lambda: not servers_left(home), what="the servers have ended")


async def test_a_file_that_cannot_be_read_starts_nothing(tmp_path: Path) -> None:
    """The file is looked at first: a clear line, exit code 2, and no servers."""
    process = await demo(tmp_path / "home", tmp_path / "nowhere.md")
    said = (await process.communicate())[0].decode()
    assert process.returncode == 2
    assert said.startswith("copydesk: ")
    assert not (tmp_path / "home").exists()
