"""What a worker counts: plain numbers, cheap to add to, worded elsewhere.

Nothing here names a project, an execution or a user: a metric is read by whoever runs the fleet.
Agents are named, since their types are the operator's own choice.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the buckets of durations, in seconds; one more bucket takes the rest."""

Source = Literal["hint", "sweep"]
"""What told a worker of an execution that it claimed."""

REFUSED, LOST = "refused", "lost"
"""Endings of attempts that no status tells: not recorded as no longer ours; never recorded."""


@dataclass(slots=True)
class Durations:
    """How often something took how long."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Telemetry:
    """The counts of one process.

    Attributes:
        claimed: executions claimed, by what told of them.
        waited: seconds from when each was due until it was claimed.
        ended: attempts ended, by agent and by the status the execution has then; `refused` where
            the outcome came too late, `lost` where none was recorded.
        ran: seconds an attempt took, its recording included, by agent.
        leaked: agents given up that did not heed a stop, by agent.
        rescued: abandoned executions made claimable again or ended, by status.
    """

    claimed: Counter[str] = field(default_factory=Counter)
    waited: Durations = field(default_factory=Durations)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    ran: dict[str, Durations] = field(default_factory=dict)
    leaked: Counter[str] = field(default_factory=Counter)
    rescued: Counter[str] = field(default_factory=Counter)

    def attempt_ended(self, agent: str, ending: str, seconds: float) -> None:
        """Count an attempt that is over."""
        self.ended[agent, ending] += 1
        durations = self.ran.get(agent)
        if durations is None:
            durations = self.ran[agent] = Durations()
        durations.add(seconds)
