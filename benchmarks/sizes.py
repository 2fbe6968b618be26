"""How much of everything: enough for steady figures, or just enough to see that it still runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Numbers of executions, agents, rows and seconds."""

    drain: int
    enqueues: int
    many: int
    latency_seconds: float
    idle_seconds: float
    waiting: int
    crowd: int
    versions: int
    rows: int
    flood: int
    noise_samples: int


FULL = Size(
    drain=12_000,
    enqueues=1500,
    many=40_000,
    latency_seconds=10,
    idle_seconds=15,
    waiting=1000,
    crowd=10_000,
    versions=8000,
    rows=1_000_000,
    flood=100_000,
    noise_samples=150,
)
TINY = Size(
    drain=120,
    enqueues=20,
    many=200,
    latency_seconds=0.5,
    idle_seconds=1,
    waiting=20,
    crowd=50,
    versions=60,
    rows=500,
    flood=3000,
    noise_samples=3,
)
