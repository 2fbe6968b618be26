"""Meters: processor time by who used it, and memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import psutil
import redis

from benchmarks.stage import Stage


@dataclass(frozen=True)
class Cpu:
    """Seconds of processor time since a moment, and the seconds that passed."""

    postgres: float
    redis: float
    python: float
    wall: float

    def __sub__(self, other: "Cpu") -> "Cpu":
        """Return what was used since `other`."""
        return Cpu(
            self.postgres - other.postgres,
            self.redis - other.redis,
            self.python - other.python,
            self.wall - other.wall,
        )

    def each(self, number: int) -> str:
        """Return microseconds for each of `number`: PostgreSQL / Redis / Python."""
        parts = (self.postgres, self.redis, self.python)
        return " / ".join(f"{part / max(number, 1) * 1e6:.0f}" for part in parts)


def cpu(stage: Stage, pids: Sequence[int] = ()) -> Cpu:
    """Return the processor time used so far by both servers and by these processes."""
    with redis.Redis.from_url(stage.redis_url) as client:
        server = int(client.info("server")["process_id"])
    return Cpu(
        postgres=_tree(_postmaster(stage.home)),
        redis=sum(psutil.Process(server).cpu_times()[:2]),
        python=sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids),
        wall=monotonic(),
    )


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has to itself, plus what it shares, in RAM."""
    return int(psutil.Process(pid).memory_info().rss)


def _postmaster(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def _tree(pid: int) -> float:
    """Return the time of a process, of its children, and of those that have ended."""
    process = psutil.Process(pid)
    total = sum(process.cpu_times()[:4])
    for child in process.children():
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:  # its time is now the parent's
            continue
    return total
