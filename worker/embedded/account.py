"""Who runs PostgreSQL: the caller, or, because it refuses root, the user `nobody` for root.

`nobody` cannot pass through a closed directory (a checkout below /root, a clone in a private
temporary directory). No directory is opened up for that; instead the server keeps the single Linux
capability that lets it pass: CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where that one is not to be
had or where the programs themselves are closed to others.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.embedded.errors import EmbeddedServerError

BECOME = Path(__file__).with_name("become.py")
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8  # to pass a capability on
# To give a directory away, look into it afterwards, become its user, and signal that user's server.
ROOT_NEEDS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": CAP_DAC_OVERRIDE,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
}


@dataclass(frozen=True)
class Account:
    """The user a server runs as; `prefix` goes in front of its command."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def command(self, arguments: Sequence[str]) -> list[str]:
        """`arguments`, to be run as this user."""
        return [*self.prefix, *arguments]

    def make_directory(self, path: Path) -> None:
        """Create `path` for this user alone."""
        path.mkdir(mode=0o700)
        if self.uid != os.geteuid():
            try:
                os.chown(path, self.uid, self.gid)
            except OSError as error:
                path.rmdir()
                raise EmbeddedServerError(
                    f"{path} cannot be given to user {self.uid}, who would run PostgreSQL "
                    f"({error.strerror}); run as an ordinary user"
                ) from None


def server_account(home: Path, program: Path, data: Path) -> Account:
    """Find the account for PostgreSQL in `home`.

    `program` is its executable, `data` one of its data files; all paths are resolved.
    Raises EmbeddedServerError when root has no way to let an ordinary user reach them.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedServerError(
            "PostgreSQL refuses to run as root and there is no user nobody to run it; "
            "run as an ordinary user"
        ) from None
    permitted = permitted_capabilities()
    if sys.platform == "linux":
        lacking = [name for name, bit in ROOT_NEEDS.items() if not permitted >> bit & 1]
        if lacking:
            raise EmbeddedServerError(
                f"root is not allowed here what running PostgreSQL as another user takes "
                f"({', '.join(lacking)}); run as an ordinary user"
            )
    capability = needed_capability(home, program, data, permitted)
    uid, gid = nobody.pw_uid, nobody.pw_gid
    become = (sys.executable, "-I", "-S", str(BECOME), str(uid), str(gid), capability, "--")
    return Account(uid, gid, become)


def needed_capability(home: Path, program: Path, data: Path, permitted: int) -> str:
    """Return the number of the capability needed to reach all three, or `-` for none.

    `permitted` is the bit set of what can be given. Raises EmbeddedServerError when none will do.
    """
    passage = {*home.parents, home, *program.parents, *data.parents}
    closed = sorted(path for path in passage if not others_may(path, stat.S_IXOTH))
    sealed = [
        path
        for path, bits in ((program, stat.S_IROTH | stat.S_IXOTH), (data, stat.S_IROTH))
        if not others_may(path, bits)
    ]
    if not closed and not sealed:
        return "-"
    # Reading past permissions is enough for directories; running a sealed program is not reading.
    sufficient = (
        [CAP_DAC_OVERRIDE] if program in sealed else [CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE]
    )
    for capability in sufficient:
        if permitted >> capability & permitted >> CAP_SETPCAP & 1:
            return str(capability)
    obstacle = (closed or sealed)[0]
    raise EmbeddedServerError(
        f"{obstacle} is closed to the user nobody, who runs PostgreSQL for root; "
        f"run as an ordinary user, or: chmod o+rx {obstacle}"
    )


def others_may(path: Path, bits: int) -> bool:
    """Whether everybody has all of the permission `bits` on `path`."""
    return path.stat().st_mode & bits == bits


def permitted_capabilities() -> int:
    """Read this process's permitted capabilities as a bit set; 0 where there is no such thing."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    for line in status.read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0
