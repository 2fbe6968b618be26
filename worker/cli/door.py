"""What every command shares: where the servers are, errors as one line, and exit codes.

Exit codes are part of the interface: 0 done, 1 failed, 2 wrong use or configuration, 3 not now (try
again), 4 no such thing in this project, 130 interrupted.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer
from rich.console import Console

from worker.errors import CopydeskError
from worker.identifiers import parse_project
from worker.settings import Settings, read_settings

if TYPE_CHECKING:
    from worker.client import Client

FAILED, WRONG_USE, NOT_NOW, NOT_FOUND, INTERRUPTED = 1, 2, 3, 4, 130

DEFAULT_HOME = Path(".copydesk")

_WRONG_USE_CODES = {
    "agent_not_found",
    "archive_invalid",
    "idempotency_conflict",
    "input_invalid",
    "project_exists",
    "project_required",
    "search_unavailable",
    "settings_invalid",
    "startup_refused",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Door:
    """The options before the command: whether to use development servers, and where they live."""

    dev: bool
    home: Path

    @contextmanager
    def settings(self) -> Iterator[Settings]:
        """Yield the settings: those of the environment, or of the development servers."""
        if not self.dev:
            yield read_settings()
            return
        with development_settings(self.home) as settings:
            yield settings

    def run(self, work: Callable[[Settings], Coroutine[Any, Any, Result]]) -> Result:
        """Run `work` with the settings, on an event loop of its own."""
        with self.settings() as settings:
            return asyncio.run(work(settings))


@contextmanager
def development_settings(home: Path) -> Iterator[Settings]:
    """Yield settings of the development servers of `home`, started or attached to."""
    try:
        # Not installed in production, where nobody asks for them.
        from worker.development import development  # noqa: PLC0415
        from worker.embedded import EmbeddedServerError  # noqa: PLC0415
    except ImportError as error:
        raise CopydeskError(
            f"development servers need the package {error.name}; "
            "install copydesk[dev-servers], or give COPYDESK_DATABASE_URL and the other URLs",
            code="settings_invalid",
        ) from None
    try:
        with development(home) as settings:
            yield settings.model_copy(update={"environment": "development"})
    except EmbeddedServerError as error:
        raise CopydeskError(str(error), code="development_servers") from None


def client_of(settings: Settings) -> "Client":
    """Return a client, to be entered; only commands that need one load SQLAlchemy: 20 MB."""
    from worker.client import Client  # noqa: PLC0415

    return Client(settings)


def door(context: typer.Context) -> Door:
    """Return the options before the command."""
    found = context.find_object(Door)
    if found is None:
        raise RuntimeError("the command was not called through the app")
    return found


def one_project(values: list[str]) -> UUID:
    """Return the one project named, by option or environment.

    Raises:
        typer.BadParameter: none, several, or not a project's id.
    """
    if len(values) != 1:
        raise typer.BadParameter(
            f"{len(values)} projects are named; name exactly one with --project or COPYDESK_PROJECT"
        )
    try:
        return parse_project(values[0])
    except CopydeskError as error:
        raise typer.BadParameter(error.message) from None


ProjectOption = Annotated[
    list[str],
    typer.Option(
        "--project",
        envvar="COPYDESK_PROJECT",
        metavar="ID",
        help="The project; there is no default.",
        show_default=False,
    ),
]


def console() -> Console:
    """Return a console on standard output; in a pipe it writes plain text, as wide as needed."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=500, no_color=True, soft_wrap=True)


def say(message: str) -> None:
    """Write one line to standard error, whatever the message holds."""
    typer.echo(f"copydesk: {_CONTROL.sub(' ', message)}", err=True)


def fail(message: str, code: int = FAILED) -> NoReturn:
    """End the command with one line on standard error."""
    say(message)
    raise typer.Exit(code)


def exit_code(error: CopydeskError) -> int:
    """Return the exit code that tells what kind of error it is."""
    if error.retryable:
        return NOT_NOW
    if error.code == "not_found":
        return NOT_FOUND
    return WRONG_USE if error.code in _WRONG_USE_CODES else FAILED
