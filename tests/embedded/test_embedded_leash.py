"""The leash: a command ends when its owner lets go, dies, or the leash itself is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.embedded.process import Leashed, alive, take_lock, try_lock, wait_until

# Tells its pid through a file, then waits for a signal.
WAITS = "import os, signal, sys; open(sys.argv[1], 'w').write(f'{os.getpid()} '); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS

Start = Callable[..., Leashed]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code on a leash; everything is let go at the end."""
    leashes: list[Leashed] = []

    def start(code: str, *arguments: Path, grace: float = 10, hold: int | None = None) -> Leashed:
        leashes.append(
            Leashed(
                [sys.executable, "-I", "-S", "-c", code, *map(str, arguments)],
                stop_signal=signal.SIGTERM,
                grace=grace,
                hold=hold,
            )
        )
        return leashes[-1]

    yield start
    for leash in leashes:
        leash.stop()


def told_pid(path: Path) -> int:
    """Read the pid that the command wrote to `path`."""
    assert wait_until(lambda: path.exists() and path.read_text().endswith(" "), 10)
    return int(path.read_text())


def gone(pid: int) -> bool:
    """Whether the process has ended, be it that nobody has asked for its exit code yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return not alive(pid)
    return state == "Z"


def test_a_command_that_ends_by_itself_gives_its_exit_code(start: Start) -> None:
    """The leash exits as its command did."""
    leash = start("raise SystemExit(7)")
    assert wait_until(lambda: leash.exit_code() is not None, 10)
    assert leash.exit_code() == 7


def test_letting_go_sends_the_stop_signal(start: Start, tmp_path: Path) -> None:
    """An owner that lets go ends the command with the signal it chose (128 + 15)."""
    leash = start(WAITS, tmp_path / "pid")
    pid = told_pid(tmp_path / "pid")
    assert leash.stop() == 128 + signal.SIGTERM
    assert gone(pid)


def test_a_stubborn_command_is_killed_after_its_grace(start: Start, tmp_path: Path) -> None:
    """Ignoring the stop signal gains a command its grace and no more (128 + 9)."""
    leash = start(STUBBORN, tmp_path / "pid", grace=0.1)
    told_pid(tmp_path / "pid")
    assert leash.stop() == 128 + signal.SIGKILL


def test_one_leash_does_not_hold_another_one_open(start: Start, tmp_path: Path) -> None:
    """Letting go of the first command ends it while later ones go on."""
    first = start(WAITS, tmp_path / "first")
    second = start(WAITS, tmp_path / "second")
    told_pid(tmp_path / "first")
    told_pid(tmp_path / "second")
    assert first.stop() == 128 + signal.SIGTERM
    assert second.exit_code() is None


def test_a_terminated_leash_stops_its_command(start: Start, tmp_path: Path) -> None:
    """SIGTERM to the leash is an orderly stop."""
    leash = start(WAITS, tmp_path / "pid")
    pid = told_pid(tmp_path / "pid")
    os.kill(leash.pid, signal.SIGTERM)
    assert wait_until(lambda: gone(pid), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_killed_leash_takes_its_command_along(start: Start, tmp_path: Path) -> None:
    """Killing the leash itself frees no command on Linux."""
    leash = start(WAITS, tmp_path / "pid")
    pid = told_pid(tmp_path / "pid")
    os.kill(leash.pid, signal.SIGKILL)
    assert wait_until(lambda: gone(pid), 10)


def test_a_lock_lasts_as_long_as_the_command(start: Start, tmp_path: Path) -> None:
    """The command holds the lock that its owner took, and only the command does."""
    lock = take_lock(tmp_path / "lock", stop_signal=signal.SIGTERM, grace=1)
    leash = start(WAITS, tmp_path / "pid", hold=lock)
    pid = told_pid(tmp_path / "pid")
    os.close(lock)
    other = os.open(tmp_path / "lock", os.O_RDWR)
    assert not try_lock(other)
    assert int((tmp_path / "lock").read_text()) == pid
    leash.stop()
    assert try_lock(other)
    os.close(other)


def test_a_leftover_that_holds_the_lock_is_ended(tmp_path: Path) -> None:
    """Who needs the lock ends the unleashed process that still has it, by force if it must."""
    lock = take_lock(tmp_path / "lock", stop_signal=signal.SIGTERM, grace=1)
    command = [sys.executable, "-c", STUBBORN, str(tmp_path / "pid")]
    with subprocess.Popen(command, pass_fds=(lock,)) as leftover:
        pid = told_pid(tmp_path / "pid")
        os.pwrite(lock, str(pid).encode(), 0)
        os.close(lock)
        os.close(take_lock(tmp_path / "lock", stop_signal=signal.SIGTERM, grace=0.1))
        assert leftover.wait(10) == -signal.SIGKILL


def test_a_recorded_pid_without_the_lock_is_left_alone(tmp_path: Path) -> None:
    """A pid in a free lock file may be anybody's by now: nobody is signalled."""
    (tmp_path / "lock").write_text(str(os.getpid()))
    os.close(take_lock(tmp_path / "lock", stop_signal=signal.SIGKILL, grace=1))
