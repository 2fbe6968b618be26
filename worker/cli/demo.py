"""`copydesk demo FILE`: the main job, end to end, on a file of yours."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer
from rich.console import Console

from models.states import State
from worker.cli.door import DEFAULT_HOME, client_of, console, development_settings, door, fail
from worker.cli.live import LiveView, watch
from worker.cli.views import print_rows, score
from worker.errors import CopydeskError, InputInvalidError
from worker.reports import ExecutionReport, StatusReport
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.client import Client

_MOST_BYTES = 900_000
_AUTHOR = "demo@copydesk.example"


def demo(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A Markdown file.")],
    language: Annotated[str, typer.Option(help="The language it is written in.")] = "en",
) -> None:
    """Import, review, revise, review again and export a Markdown file, with servers of its own."""
    content = _read(file)
    home = door(context).home
    began = monotonic()
    console().print(f"starting PostgreSQL and Redis in {os.path.relpath(home)} ...", soft_wrap=True)
    with development_settings(home) as settings:
        console().print(f"ready after {monotonic() - began:.1f} s\n")
        asyncio.run(_demo(settings, home, file, content, language))


async def _demo(settings: Settings, home: Path, file: Path, content: str, language: str) -> None:
    out = console()
    document_type = _document_type(file)
    async with client_of(settings) as client:
        author = await client.create_user(email=_AUTHOR, name="Demo")
        project = await client.create_project(
            name=file.name[:255], created_by=author, language=language
        )
        chain = _Chain(client, project, author, uuid4())
        out.print(f"project      {project}")
        out.print(f"correlation  {chain.correlation}\n")
        with _worker(settings, home) as ended_early:
            report = await chain.run(_steps(document_type, content), out, ended_early)
    failed = [e for e in report.executions if e.status is not State.COMPLETED]
    if failed:
        fail(f"{failed[0].agent_type}: {failed[0].error_code}: {failed[0].error_message}")
    copydesk = _program(home)
    out.print()
    _summary(out, settings, f"{copydesk} --dev", report)
    _lines(
        out,
        "Next:",
        [
            f"{copydesk} --dev status {chain.correlation}",
            f"{copydesk} --dev show {document_type}_review",
            f"{copydesk} dev",
        ],
    )
    _lines(out, "All but the last need:", [f"export COPYDESK_PROJECT={project}"])


class _Chain:
    """Executions one after the other, under one correlation id."""

    def __init__(self, client: "Client", project: UUID, author: UUID, correlation: UUID) -> None:
        self._client = client
        self._project = project
        self._author = author
        self.correlation = correlation

    async def run(
        self,
        steps: Sequence[tuple[str, dict[str, Any]]],
        out: Console,
        ended_early: Callable[[], str | None],
    ) -> StatusReport:
        """Enqueue each step when the one before has completed; return what became of them."""
        with LiveView(out) as view:

            def show(report: StatusReport) -> None:
                known: list[ExecutionReport | None] = list(report.executions)
                waiting = [None] * (len(steps) - len(known))
                view.show([(step[0], e) for step, e in zip(steps, [*known, *waiting], strict=True)])
                if (why := ended_early()) is not None:
                    raise CopydeskError(why, code="worker_ended")

            for agent_type, payload in steps:
                await self._client.enqueue(
                    self._project,
                    agent_type,
                    payload,
                    requested_by=self._author,
                    correlation_id=self.correlation,
                )
                report = await watch(
                    self._client,
                    self._project,
                    self.correlation,
                    show,
                    until=lambda report: report.is_final,
                )
                if report.executions[-1].status is not State.COMPLETED:
                    break
            return report


def _steps(document_type: str, content: str) -> list[tuple[str, dict[str, Any]]]:
    which = {"document_type": document_type}
    # In technical texts much of what is no word is a name, and most names stand in code somewhere.
    checked = {**which, "names_in_code": True}
    return [
        ("import_document", {**which, "content": content}),
        ("review", checked),
        ("revise", checked),
        ("review", checked),
        ("export", {}),
    ]


@contextmanager
def _worker(settings: Settings, home: Path) -> Iterator[Callable[[], str | None]]:
    """Run a worker process that ends with this one; yield what tells whether it ended early."""
    # Only where development servers are installed, as the caller has seen.
    from worker.development import exported  # noqa: PLC0415
    from worker.embedded import Leashed  # noqa: PLC0415

    log = home / "worker.log"
    with log.open("wb") as output:
        process = Leashed(
            [sys.executable, "-m", "worker", "worker", "--concurrency", "4"],
            stop_signal=signal.SIGTERM,
            grace=10,
            env={
                **os.environ,
                **exported(settings),
                "COPYDESK_ENVIRONMENT": "development",
                "COPYDESK_SWEEP": "1",
            },
            output=output,
        )

    def ended_early() -> str | None:
        if process.exit_code() is None:
            return None
        last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
        return f"the worker ended early ({last or 'it said nothing'}); its log is {log}"

    try:
        yield ended_early
    finally:
        process.stop()


def _summary(out: Console, settings: Settings, copydesk: str, report: StatusReport) -> None:
    written = [(e, version) for e in report.executions for version in e.versions]
    headings = ("document", "version", "readability", "grammar", "written by")
    rows = [
        (
            version.document_type,
            str(version.version),
            score(version.readability_score),
            score(version.grammar_score),
            f"{execution.agent_type}, for {_AUTHOR}",
        )
        for execution, version in written
    ]
    print_rows(out, headings, rows)
    _lines(
        out,
        "Look at each:",
        [f"{copydesk} show {v.document_type} --version {v.version}" for _, v in written],
    )
    files = [file for execution in report.executions for file in execution.exports]
    root = settings.exports_directory or Path()
    _lines(out, "The export:", [os.path.relpath(root / str(file.file_path)) for file in files])


def _lines(out: Console, heading: str, lines: Sequence[str]) -> None:
    """Print lines to be copied: never wrapped, never cut."""
    out.print(f"\n{heading}")
    for line in lines:
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _program(home: Path) -> str:
    """Return how to call this program again from here, with the same servers."""
    called = Path(sys.argv[0])
    words = ["copydesk"]
    if called.name == "copydesk" and shutil.which("copydesk") != str(called):
        relative = os.path.relpath(called)
        words = [str(called) if relative.startswith("..") else relative]
    if home != DEFAULT_HOME:
        words += ["--home", str(home)]
    return shlex.join(words)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputInvalidError(
                f"{file}: is larger than {_MOST_BYTES} bytes; take a smaller one"
            )
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise InputInvalidError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputInvalidError(f"{file}: is not UTF-8 text; convert it first") from None


def _document_type(file: Path) -> str:
    """Return the file's name as the name of a document: `Read Me.md` becomes `read_me`."""
    name = re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_")[:40].rstrip("_")
    return name if name[:1].isalpha() else f"doc_{name}".rstrip("_")
