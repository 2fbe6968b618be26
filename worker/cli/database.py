"""`copydesk db`: the schema, up and down, and whether it is what the models say."""

from typing import Annotated

import typer

from worker.cli.door import FAILED, door, say
from worker.settings import Settings, secret


def database() -> typer.Typer:
    """Return the group of commands; each connects with COPYDESK_OWNER_URL."""
    group = typer.Typer(help="The database schema.", no_args_is_help=True)
    for command in (upgrade, downgrade, current, check, revision):
        group.command()(command)
    return group


def upgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Up to which revision.")] = "head",
) -> None:
    """Prepare roles and database, and migrate up."""

    async def work(settings: Settings) -> None:
        from worker import migrate  # noqa: PLC0415 - Alembic takes a while to import

        url = _owner_url(settings)
        for left in await migrate.upgrade(url, revision, say=say):
            typer.echo(f"not repaired: {left}", err=True)
        typer.echo(f"at {await migrate.current(url)}")

    door(context).run(work)


def downgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Down to which revision; base empties it.")],
) -> None:
    """Migrate down; what the later revisions added is lost."""

    async def work(settings: Settings) -> None:
        from worker import migrate  # noqa: PLC0415

        url = _owner_url(settings)
        await migrate.downgrade(url, revision, say=say)
        typer.echo(f"at {await migrate.current(url) or 'base'}")

    door(context).run(work)


def current(context: typer.Context) -> None:
    """Show the revision the database is at, and the one this copydesk works with."""

    async def work(settings: Settings) -> None:
        from worker import migrate  # noqa: PLC0415

        typer.echo(f"database {await migrate.current(_owner_url(settings)) or 'none'}")
        typer.echo(f"code     {migrate.head_revision()}")

    door(context).run(work)


def check(context: typer.Context) -> None:
    """Compare the database with the models: tables, indexes, functions, policies, grants, roles."""

    async def work(settings: Settings) -> list[str]:
        from worker import migrate  # noqa: PLC0415

        return await migrate.check(_owner_url(settings))

    differences = door(context).run(work)
    for difference in differences:
        typer.echo(difference)
    if differences:
        raise typer.Exit(FAILED)
    typer.echo("the database is what the models say")


def revision(
    context: typer.Context, message: Annotated[str, typer.Argument(help="What it is for.")]
) -> None:
    """Write a migration file with the difference between the database and the models."""

    async def work(settings: Settings) -> None:
        from worker import migrate  # noqa: PLC0415

        typer.echo(str(await migrate.revision(_owner_url(settings), message)))

    door(context).run(work)


def _owner_url(settings: Settings) -> str:
    settings.require("owner_url")
    return secret(settings.owner_url)
