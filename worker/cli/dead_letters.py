"""`copydesk failed`, `retry` and `quarantine`: what needs a person."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from redis.exceptions import RedisError

from worker.cli.door import ProjectOption, client_of, console, door, one_project
from worker.cli.views import print_json, print_rows
from worker.errors import InputInvalidError, RedisUnavailableError
from worker.queue.connection import open_redis
from worker.queue.outage import describe_fault
from worker.queue.quarantine import Quarantine
from worker.settings import Settings, secret

AgentOption = Annotated[str | None, typer.Option("--agent", help="Only of this agent.")]
SinceOption = Annotated[
    datetime | None, typer.Option(help="Only since this time; UTC where it names no zone.")
]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


def failed(
    context: typer.Context,
    project: ProjectOption,
    agent: AgentOption = None,
    since: SinceOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List the executions that failed for good, latest first."""
    project_id = one_project(project)

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            letters = await client.dead_letters.list(
                project_id, agent_type=agent, since=_aware(since), limit=limit
            )
        out = console()
        if as_json:
            print_json(out, [letter.model_dump(mode="json") for letter in letters])
        elif not letters:
            out.print("nothing has failed")
        else:
            rows = [
                (
                    str(letter.execution_id),
                    letter.agent_type,
                    letter.completed_at.isoformat(sep=" ", timespec="seconds"),
                    str(letter.failures),
                    str(letter.retried_as or "-"),
                    f"{letter.error_code}: {letter.error_message}",
                )
                for letter in letters
            ]
            headings = ("execution", "agent", "failed at", "failures", "retried as", "why")
            print_rows(out, headings, rows)

    door(context).run(work)


def retry(
    context: typer.Context,
    project: ProjectOption,
    execution_id: Annotated[
        str | None, typer.Argument(metavar="[EXECUTION_ID]", help="Which one; or --all.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that failed and was not retried yet.")
    ] = False,
    agent: AgentOption = None,
    since: SinceOption = None,
    limit: LimitOption = 1000,
) -> None:
    """Ask again for what failed: new executions that point at the old ones."""
    project_id = one_project(project)
    if (execution_id is None) != everything:
        raise InputInvalidError("retry: name one execution, or --all with --agent and --since")
    if execution_id is not None and (agent or since):
        raise InputInvalidError("retry: --agent and --since go with --all")

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            ids = [execution_id] if execution_id is not None else []
            if everything:
                letters = await client.dead_letters.list(
                    project_id, agent_type=agent, since=_aware(since), limit=limit
                )
                ids = [str(letter.execution_id) for letter in letters if not letter.retried_as]
            if not ids:
                typer.echo("nothing to retry")
                return
            for again in await client.dead_letters.retry(project_id, ids):
                typer.echo(f"{again.retry_of} again as {again.execution_id}")

    door(context).run(work)


def quarantine(
    context: typer.Context,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """List queue messages that were set aside because they could not be read, newest first."""

    async def work(settings: Settings) -> None:
        settings.require("redis_url")
        redis = open_redis(secret(settings.redis_url), queue_name=settings.queue_name)
        try:
            messages = await Quarantine(redis, settings.queue_name).newest(limit)
        except (RedisError, OSError) as error:
            fault = describe_fault(error)
            raise RedisUnavailableError(f"Redis did not answer ({fault}); try again") from None
        finally:
            await redis.aclose()
        out = console()
        if as_json:
            print_json(out, [asdict(message) for message in messages])
        elif not messages:
            out.print("the quarantine is empty")
        else:
            rows = [(m.time, m.job_id, m.code, str(m.size), m.reason) for m in messages]
            print_rows(out, ("time", "message", "code", "bytes", "why"), rows)

    door(context).run(work)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
