"""`copydesk enqueue`, `status` and `cancel`: executions, from outside."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.door import (
    FAILED,
    NOT_FOUND,
    ProjectOption,
    client_of,
    console,
    door,
    fail,
    one_project,
)
from worker.cli.live import follow
from worker.cli.views import print_json, print_status
from worker.errors import InputInvalidError
from worker.settings import Settings
from worker.strict_json import UnstorableJsonError, read

# More than jsonb can hold; an endless file ends here.
_LARGEST = 268_435_456


def enqueue(
    context: typer.Context,
    agent_type: Annotated[str, typer.Argument(metavar="AGENT", help="Which agent is to run.")],
    project: ProjectOption,
    requested_by: Annotated[
        str, typer.Option("--by", envvar="COPYDESK_USER", metavar="ID", help="The user who asks.")
    ],
    input_json: Annotated[
        str,
        typer.Option("--input", metavar="JSON", help="The agent's input; @FILE or - reads it."),
    ] = "{}",
    correlation_id: Annotated[str | None, typer.Option(metavar="ID")] = None,
    idempotency_key: Annotated[str | None, typer.Option(metavar="KEY")] = None,
    priority: Annotated[int, typer.Option(min=-100, max=100)] = 0,
    max_attempts: Annotated[int | None, typer.Option(min=1, max=100)] = None,
) -> None:
    """Record an execution and print its ids; a worker will run it."""
    project_id = one_project(project)
    payload = _input(input_json)

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            recorded = await client.enqueue(
                project_id,
                agent_type,
                payload,
                requested_by=requested_by,
                correlation_id=correlation_id,
                idempotency_key=idempotency_key,
                priority=priority,
                max_attempts=max_attempts,
            )
        typer.echo(f"execution   {recorded.execution_id}")
        typer.echo(f"correlation {recorded.correlation_id}")
        if not recorded.created:
            typer.echo(f"known already by its idempotency key, {recorded.status}")

    door(context).run(work)


def status(
    context: typer.Context,
    correlation_id: Annotated[str, typer.Argument(metavar="CORRELATION_ID")],
    project: ProjectOption,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow until everything is final.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the executions of a correlation id: attempts, times, and the versions they wrote."""
    project_id = one_project(project)

    async def work(settings: Settings) -> None:
        out = console()
        async with client_of(settings) as client:
            if watch and not as_json:
                report = await follow(client, project_id, correlation_id, out)
            else:
                report = (
                    await client.wait(project_id, correlation_id)
                    if watch
                    else await client.status(project_id, correlation_id)
                )
        if as_json:
            print_json(out, report.model_dump(mode="json"))
        elif report.executions:
            print_status(out, report)
        if not report.executions:
            fail("the correlation id stands for nothing in this project", NOT_FOUND)
        if watch and any(execution.status == "failed" for execution in report.executions):
            raise typer.Exit(FAILED)

    door(context).run(work)


def cancel(
    context: typer.Context,
    execution_id: Annotated[str, typer.Argument(metavar="EXECUTION_ID")],
    project: ProjectOption,
    reason: Annotated[str, typer.Option(help="Kept in the record.")] = "",
) -> None:
    """Cancel an execution: at once while it is pending, through its worker while it runs."""
    project_id = one_project(project)

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            now = await client.cancel(project_id, execution_id, reason)
        typer.echo("cancellation requested" if now == "running" else now)

    door(context).run(work)


def _input(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read(_LARGEST + 1)
        elif text.startswith("@"):
            with Path(text[1:]).open(encoding="utf-8") as file:
                text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise InputInvalidError(f"--input: is larger than {_LARGEST} characters")
        value = read(text)
    except UnstorableJsonError as error:
        raise InputInvalidError(f"--input: {error}") from None
    except (OSError, ValueError) as error:
        raise InputInvalidError(f"--input: cannot be read as JSON ({error})") from None
    except RecursionError:
        raise InputInvalidError("--input: is nested too deeply") from None
    if not isinstance(value, dict):
        raise InputInvalidError("--input: must be a JSON object, such as '{\"document_type\": …}'")
    return value
