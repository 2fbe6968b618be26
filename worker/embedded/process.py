"""A process on a leash, and the lock that tells whether one is still alive.

A server inherits a locked file and keeps it open for its life, as do its children. So "is anything
of it left?" is a question to the kernel and not to a pid file: pids are reused, locks are not.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from worker.embedded.errors import EmbeddedServerError

LEASH = Path(__file__).with_name("leash.py")
POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds, or `seconds` have passed; answers whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


class Leashed:
    """A running command that ends when this process lets go of it, or dies.

    It runs in a session of its own: Ctrl-C in a terminal reaches this process only, which then
    decides in which order things stop.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stop_signal: signal.Signals,
        grace: float,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        output: int | IO[bytes] | None = None,
        hold: int | None = None,
    ) -> None:
        """Start `command`, which gets `stop_signal` and `grace` seconds when its time has come.

        `output` takes both stdout and stderr (None: this process's own); `hold` is the descriptor
        of a locked file (see `take_lock`).
        """
        self._grace = grace
        self._leash = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(LEASH)),
                *(str(int(stop_signal)), str(grace), "-" if hold is None else str(hold)),
                *("--", *command),
            ],
            stdin=subprocess.PIPE,  # close-on-exec: no other child can hold this end open
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=env,
            pass_fds=() if hold is None else (hold,),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The leash's own process id."""
        return self._leash.pid

    def exit_code(self) -> int | None:
        """Return the command's exit code (128 + n for signal n), or None while it runs."""
        return self._leash.poll()

    def let_go(self) -> None:
        """Ask the command to stop, without waiting. May be called more than once."""
        if self._leash.stdin is not None:
            self._leash.stdin.close()

    def stop(self) -> int:
        """Let go, wait for the end, and return the exit code.

        Raises EmbeddedServerError when the leash outlives its grace by far.
        """
        self.let_go()
        try:
            return self._leash.wait(self._grace + 10)
        except subprocess.TimeoutExpired:
            raise EmbeddedServerError(
                f"process {self.pid} did not end within {self._grace + 10:g} s of being asked to; "
                "end it by hand"
            ) from None


def started(process: Leashed | None) -> Leashed:
    """Insist that a server has been launched before it is waited for."""
    if process is None:
        raise RuntimeError("start() comes before wait_ready()")
    return process


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock on an open file if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_lock(path: Path, *, stop_signal: signal.Signals, grace: float) -> int:
    """Open and lock `path` for a server about to start; first end what is left of the last one.

    Returns the descriptor, which the caller closes once the server has inherited it. Raises
    EmbeddedServerError when the leftover cannot be ended.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # A leftover whose leash just died is already on its way out: give it a moment first.
        if wait_until(lambda: try_lock(descriptor), 0.5):
            return descriptor
        pid = int(os.pread(descriptor, 32, 0) or b"0")
        for number, seconds in ((stop_signal, grace), (signal.SIGKILL, 5.0)):
            if pid > 0 and alive(pid):
                os.kill(pid, number)
            if wait_until(lambda: try_lock(descriptor), seconds):
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise EmbeddedServerError(
        f"an earlier server (process {pid}) still holds {path} and cannot be ended; end it by hand"
    )


def alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class ServerLog:
    """One server's output: a file of this start, and the one before it as `<name>.1`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> IO[bytes]:
        """Begin a fresh, private file to write to."""
        if self.path.exists():
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "wb")

    def tail(self, lines: int = 15) -> str:
        """Return the last lines, indented, for an error message."""
        text = self.path.read_text(errors="replace").splitlines()[-lines:]
        return "".join(f"\n    {line}" for line in text)


def server_environment(home: Path) -> dict[str, str]:
    """Make a server's environment: nothing of ours that could change it or leak into it.

    PGPORT and PGOPTIONS would change it, and so would the caller's locale.
    """
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    return {**inherited, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}
