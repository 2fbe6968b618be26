"""`copydesk project`: what has to exist before the first enqueue."""

from typing import Annotated

import typer

from worker.cli.door import client_of, door
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
