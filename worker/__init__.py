"""copydesk: agents write documents, PostgreSQL remembers, Redis wakes.

What services and agents import stands here; each name loads its module when it is first used, so
that `import worker` costs nothing. `arq worker.WorkerSettings` finds its settings here too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.agents.contract import (
        Agent,
        AgentError,
        Backoff,
        Cancel,
        Document,
        Draft,
        ExportFile,
        Outcome,
        Retry,
        RunContext,
        Snooze,
        ThreadContext,
        agent,
    )

    WorkerSettings: type
    from worker.client import Client
    from worker.errors import CopydeskError
    from worker.settings import Settings

__all__ = [
    "Agent",
    "AgentError",
    "Backoff",
    "Cancel",
    "Client",
    "CopydeskError",
    "Document",
    "Draft",
    "ExportFile",
    "Outcome",
    "Retry",
    "RunContext",
    "Settings",
    "Snooze",
    "ThreadContext",
    "WorkerSettings",
    "agent",
]

_HOMES = {
    "Client": "worker.client",
    "CopydeskError": "worker.errors",
    "Settings": "worker.settings",
    "WorkerSettings": "worker.arq_door",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever stands under the public name
    if name not in __all__:
        raise AttributeError(f"module 'worker' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "worker.agents.contract")), name)
