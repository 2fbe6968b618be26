"""Following executions as they happen: a live table on a terminal, a line a change in a pipe."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self
from uuid import UUID

from rich.console import Console
from rich.live import Live

from worker.cli.views import elapsed, live_table, message, seconds
from worker.errors import NotFoundError
from worker.reports import ExecutionReport, StatusReport

if TYPE_CHECKING:
    from worker.client import Client

_LOOK_EVERY = 0.1

Steps = Sequence[tuple[str, ExecutionReport | None]]


class LiveView:
    """Shows steps of a chain; use as a context manager and call `show` with every new picture."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live = Live(console=out, refresh_per_second=12) if out.is_terminal else None
        self._said: dict[UUID, str] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave the last picture on the screen."""
        if self._live is not None:
            self._live.stop()

    def show(self, steps: Steps) -> None:
        """Draw the table anew, or print a line for each execution that has changed."""
        if self._live is not None:
            self._live.update(live_table(steps))
            return
        for _, execution in steps:
            if execution is not None:
                self._say(execution)

    def _say(self, execution: ExecutionReport) -> None:
        fraction, _ = execution.progress
        percent = f"{fraction:.0%}" if fraction is not None and not execution.completed_at else ""
        what = f"{execution.status.value:<10} attempt {execution.attempt} {percent:>4}"
        said = f"{what}|{message(execution)}"
        if self._said.get(execution.execution_id) != said:
            self._said[execution.execution_id] = said
            line = f"{execution.agent_type:<16} {what} {seconds(elapsed(execution)):>8}  "
            self._out.print((line + message(execution)).rstrip(), markup=False)


async def watch(
    client: "Client",
    project_id: UUID,
    correlation_id: UUID | str,
    show: Callable[[StatusReport], None],
    *,
    until: Callable[[StatusReport], bool],
) -> StatusReport:
    """Read the status again and again, show it, and return it once `until` holds."""
    while True:
        report = await client.status(project_id, correlation_id)
        show(report)
        if until(report):
            return report
        await asyncio.sleep(_LOOK_EVERY)


async def follow(
    client: "Client", project_id: UUID, correlation_id: UUID | str, out: Console
) -> StatusReport:
    """Show the executions of a correlation id until all are final."""
    if not (await client.status(project_id, correlation_id)).executions:
        raise NotFoundError("correlation_id: stands for nothing in this project")
    with LiveView(out) as view:
        return await watch(
            client,
            project_id,
            correlation_id,
            lambda report: view.show([(e.agent_type, e) for e in report.executions]),
            until=lambda report: report.is_final,
        )
