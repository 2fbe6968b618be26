"""`copydesk backup` and `copydesk restore`."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from worker.cli.door import door, say
from worker.settings import Settings, secret

Result = TypeVar("Result")


def backup(
    context: typer.Context,
    place: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to; in a directory it gets a name.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace what stands there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The manifest, as JSON.")] = False,
) -> None:
    """Write everything into a file, with a manifest beside it, as of one moment."""

    async def work(settings: Settings) -> None:
        from worker.backup import back_up  # noqa: PLC0415 - Alembic takes a while to import

        settings.require("backup_url")
        file, manifest = await _unless_stopped(
            back_up(secret(settings.backup_url), place, replace=force, say=say)
        )
        typer.echo(manifest.text() if as_json else str(file), nl=not as_json)

    door(context).run(work)


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file; its manifest stands beside it.")],
) -> None:
    """Restore a backup into an empty database, and check that all of it is there."""

    async def work(settings: Settings) -> None:
        from worker.backup import restore  # noqa: PLC0415

        settings.require("owner_url")
        restored = await _unless_stopped(
            restore(
                secret(settings.owner_url),
                file,
                app_url=secret(settings.database_url) if settings.database_url else None,
                dispatch_url=secret(settings.dispatch_url) if settings.dispatch_url else None,
                say=say,
            )
        )
        typer.echo(f"restored, at {restored.manifest.revision}")

    door(context).run(work)


async def _unless_stopped(work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work; SIGTERM cancels it like Ctrl-C, so that nothing unfinished is left behind."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise typer.Abort from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
