"""A leash: runs a command that ends when its owner lets go.

    python -I -S leash.py SIGNAL GRACE HOLD -- command ...

The owner keeps the write end of this script's stdin. End of file there means that the owner let go,
or is dead, however it died: the command gets SIGNAL and, GRACE seconds later, SIGKILL. SIGTERM to
the leash does the same. Should the leash itself be killed, Linux sends SIGNAL to the command.
The leash exits as the command did (128 + n for signal n).

HOLD is an inherited file descriptor, or `-`: the pid is written into that file, and the command
inherits it open, so that a lock on it lasts exactly as long as the command and its children.

Run as a file with nothing but the standard library, so that it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def die_with_leash(number: int, leash: int) -> None:
    """In the child, before exec: ask Linux for `number` when the leash dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != leash:  # it died before the request was in place
        os._exit(1)


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    number, grace, hold, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit("usage: leash.py SIGNAL GRACE HOLD -- command ...")
    stop_signal, leash = int(number), os.getpid()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        close_fds=False,  # only HOLD is inheritable here: the owner passes nothing else
        # No thread has been started yet, so code before exec is safe.
        preexec_fn=(  # noqa: PLW1509
            (lambda: die_with_leash(stop_signal, leash)) if sys.platform == "linux" else None
        ),
    )
    if hold != "-":
        os.ftruncate(int(hold), 0)
        os.pwrite(int(hold), str(child.pid).encode(), 0)
        os.close(int(hold))

    def stop() -> None:
        child.send_signal(stop_signal)
        try:
            child.wait(float(grace))
        except subprocess.TimeoutExpired:
            child.kill()

    def watch_owner() -> None:
        while os.read(0, 4096):
            pass
        stop()

    # The main thread only waits for the child, because the end of the thread that made a child
    # counts as its parent's death for Linux.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop, daemon=True).start())
    threading.Thread(target=watch_owner, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
