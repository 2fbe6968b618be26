"""The commands of `copydesk`, and what becomes of errors: one clear line and an exit code."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from worker.cli.agents import list_agents
from worker.cli.backups import backup, restore
from worker.cli.database import database
from worker.cli.dead_letters import failed, quarantine, retry
from worker.cli.demo import demo
from worker.cli.doctor import doctor
from worker.cli.documents import documents, show
from worker.cli.door import DEFAULT_HOME, INTERRUPTED, WRONG_USE, Door, exit_code, say
from worker.cli.executions import cancel, enqueue, status
from worker.cli.maintenance import prune, reindex
from worker.cli.processes import dev, worker
from worker.cli.projects import create, delete, export, import_
from worker.cli.search import search, stats
from worker.errors import CopydeskError


def _app() -> typer.Typer:
    app = typer.Typer(
        help="Runs agents that write documents, and keeps the record right.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in (
        *(demo, dev, worker, enqueue, status, cancel, documents, show),
        *(search, stats, failed, retry, quarantine, doctor, backup, restore),
        *(prune, reindex),
    ):
        app.command()(command)
    app.command("agents")(list_agents)
    projects = typer.Typer(help="Projects: what everything belongs to.", no_args_is_help=True)
    projects.command()(create)
    projects.command()(delete)
    projects.command()(export)
    projects.command("import")(import_)
    app.add_typer(projects, name="project")
    app.add_typer(database(), name="db")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - seldom asked for

        typer.echo(f"copydesk {version('copydesk')}")
        raise typer.Exit


def _options(
    context: typer.Context,
    dev: Annotated[
        bool,
        typer.Option("--dev", help="Use this directory's own servers, started when needed."),
    ] = False,
    home: Annotated[
        Path, typer.Option(envvar="COPYDESK_HOME", help="Where those servers keep their data.")
    ] = DEFAULT_HOME,
    _show_version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    context.obj = Door(dev=dev, home=home)


def main() -> None:
    """Run the command line; every error is one line on standard error and an exit code."""
    try:
        code = _app()(prog_name="copydesk", standalone_mode=False)
    except CopydeskError as error:
        _end(error.message, exit_code(error))
    except typer.TyperException as error:
        _end(_one_line(error), getattr(error, "exit_code", WRONG_USE))
    except (typer.Abort, KeyboardInterrupt):
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader has seen enough; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        sys.exit(code)


def _one_line(error: typer.TyperException) -> str:
    # Every error of typer's can word itself; the public base class does not say so.
    word: Callable[[], str] = getattr(error, "format_message", lambda: str(error))
    return word().strip().replace("\n", " ")


def _end(message: str, code: int) -> NoReturn:
    if message:  # typer has shown the help instead of an error
        say(message)
    sys.exit(code)
