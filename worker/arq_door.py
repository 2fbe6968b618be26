"""`arq worker.WorkerSettings`: arq's command line starts a copydesk worker.

arq's command line makes an `arq.Worker` of its own and reads nothing but this class. So the whole
worker runs inside arq's startup hook, to its end; signals, `--burst` and `--check` do what arq's
users expect. The class is made when it is asked for, since making it reads the settings.
"""

import asyncio
from typing import Any, NoReturn

import click
from arq.worker import func

from worker.logs import configure_logging
from worker.process import end_within, ending_in_time, work
from worker.queue.connection import to_arq_settings
from worker.queue.envelope import FUNCTION
from worker.settings import read_settings, secret

# arq itself has nothing left to do but to close its connection to Redis.
_END_WITHIN = 3.0


def worker_settings() -> type:
    """Return the class arq reads, made of copydesk's settings.

    Raises:
        SettingsError: a setting is missing or breaks a rule.
    """
    settings = read_settings()
    settings.require("database_url", "dispatch_url", "redis_url")

    async def work_until_ended(_ctx: dict[Any, Any]) -> NoReturn:
        configure_logging(settings)
        command = click.get_current_context(silent=True)
        with ending_in_time(_END_WITHIN):
            await work(settings, burst=bool(command and command.params.get("burst")))
        end_within(_END_WITHIN)
        # How arq itself ends: its own loop, which has nothing to do here, never begins.
        raise asyncio.CancelledError

    return type(
        "WorkerSettings",
        (),
        {
            "functions": [func(_run_agent, name=FUNCTION)],
            "queue_name": settings.queue_name,
            "redis_settings": to_arq_settings(secret(settings.redis_url)),
            "on_startup": work_until_ended,
            "handle_signals": False,
            "max_jobs": settings.concurrency,
        },
    )


async def _run_agent(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ANN401
    raise NotImplementedError("messages are handled by the worker inside arq's startup hook")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "WorkerSettings":
        return worker_settings()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
