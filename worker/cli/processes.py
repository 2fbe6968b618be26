"""`copydesk worker` and `copydesk dev`: processes that stay."""

import sys
from typing import Annotated

import typer

from worker.cli.door import development_settings, door
from worker.process import run_worker
from worker.settings import Settings


def worker(
    context: typer.Context,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=20_000, help="Attempts at a time.")
    ] = None,
    burst: Annotated[
        bool, typer.Option("--burst", help="End when there is nothing more to do.")
    ] = False,
) -> None:
    """Run a worker until SIGTERM or Ctrl-C: it drains, gives back what is left, and ends with 0."""
    with door(context).settings() as settings:
        chosen = {} if concurrency is None else {"concurrency": concurrency}
        run_worker(settings.model_copy(update=chosen), burst=burst)


def dev(context: typer.Context) -> None:
    """Run development servers and a worker, print where they are, and stay until Ctrl-C."""
    home = door(context).home
    with development_settings(home) as settings:
        for name, value in _exports(settings).items():
            typer.echo(f"export {name}='{value}'")
        typer.echo("# Ctrl-C ends the servers and the worker.")
        sys.stdout.flush()
        run_worker(settings)


def _exports(settings: Settings) -> dict[str, str]:
    from worker.development import exported  # noqa: PLC0415 - only where it is installed

    return exported(settings) | {"COPYDESK_ENVIRONMENT": "development"}
