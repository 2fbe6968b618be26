"""Becomes another user for good, then becomes a command. Needs to be started as root.

    python -I -S become.py UID GID CAPABILITY -- command ...

PostgreSQL refuses to run as root, so root starts it through this. CAPABILITY is the number of the
one Linux capability the command keeps (see `account.py`), or `-` for none; it is made ambient,
which is what survives exec by an ordinary user. The process id stays, and so does the parent-death
signal, which Linux forgets when a process changes its user.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_SET_SECUREBITS = 1, 2, 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def checked(result: int, what: str) -> None:
    """Turn a C function's failure into an OSError that says what failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def main(arguments: list[str]) -> None:
    """Change the user, then the program; does not return."""
    uid, gid, capability, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit("usage: become.py UID GID CAPABILITY -- command ...")
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform == "linux"
    death_signal = ctypes.c_int(0)
    if linux:
        checked(libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(death_signal), 0, 0, 0), "death signal")
    parent = os.getppid()
    if capability != "-":
        # Without this bit, changing the user drops capabilities, and access(2), with which initdb
        # looks for its programs, goes on ignoring them.
        bits = SECBIT_NO_SETUID_FIXUP
        checked(libc.prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), "secure bits")
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    if capability != "-":
        bit = 1 << int(capability)  # below 32, so it lies in the first of the two words
        header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
        effective_permitted_inheritable = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
        checked(libc.capset(header, effective_permitted_inheritable), "capset")
        number = int(capability)
        checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0), "ambient")
    if linux:
        checked(libc.prctl(PR_SET_PDEATHSIG, death_signal.value, 0, 0, 0), "death signal")
        if death_signal.value and os.getppid() != parent:
            os._exit(1)
    os.execv(command[0], command)  # noqa: S606 - a shell is not wanted


if __name__ == "__main__":
    main(sys.argv[1:])
