"""`copydesk project`: projects as a whole, from their making to their end."""

from collections import Counter
from typing import Annotated

import typer

from worker.cli.door import client_of, door, say
from worker.identifiers import parse_project
from worker.settings import Settings


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The project's name.")],
    by: Annotated[str, typer.Option(metavar="EMAIL", help="The user who owns it.")],
    language: Annotated[
        str, typer.Option(help="The language of its documents; set once, never changed.")
    ] = "en",
) -> None:
    """Create a project, and its user where there is none; print both ids."""

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            user = await client.create_user(email=by, name=by.split("@", 1)[0])
            project = await client.create_project(name=name, created_by=user, language=language)
        typer.echo(f"project {project}")
        typer.echo(f"user    {user}")

    door(context).run(work)


def delete(
    context: typer.Context,
    project: Annotated[str, typer.Argument(metavar="ID", help="The project.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only count.")] = False,
    cancel_running: Annotated[
        bool, typer.Option("--cancel-running", help="Cancel what runs, and wait for its end.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=86_400, help="For so many seconds at most.")
    ] = 60,
) -> None:
    """Remove a project for good: rows, Redis keys and export files; print a receipt."""
    project_id = parse_project(project)

    async def work(settings: Settings) -> None:
        from worker.maintenance.opening import opened_deletion  # noqa: PLC0415 - loads SQLAlchemy

        async with opened_deletion(settings) as deletion:
            if not yes:
                found = await deletion.survey(project_id)
                typer.echo(f"would be removed of project {project_id}")
                _print_counts(found.counts)
                typer.echo(f"under way: {found.pending} pending, {found.running} running")
                say("nothing was changed; --yes removes it")
                return
            receipt = await deletion.delete(project_id, cancel_running=cancel_running, wait=wait)
            typer.echo(f"removed of project {project_id}")
            _print_counts(receipt.counts)
            for remark in receipt.remarks:
                say(remark)

    door(context).run(work)


def _print_counts(counts: Counter[str]) -> None:
    for name in sorted(counts):
        typer.echo(f"{name:<18} {counts[name]}")
