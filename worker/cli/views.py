"""How reports look: tables on a terminal, aligned plain lines in a pipe."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from models.states import State
from worker.redaction import escaped
from worker.reports import DocumentReport, ExecutionReport, StatusReport

COLOURS = {
    State.PENDING: "yellow",
    State.RUNNING: "cyan",
    State.COMPLETED: "green",
    State.FAILED: "red",
    State.CANCELLED: "magenta",
}
_BAR = 14

Headings = Sequence[str]
Rows = Sequence[Sequence[str]]


def score(value: float | None) -> str:
    """Return a score with one or two decimals, and a dash where there is none."""
    return "-" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def seconds(value: float | None) -> str:
    """Return a duration for people."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"  # noqa: PLR2004


def size(value: int) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if value < 10_000:  # noqa: PLR2004 - four digits are read at a glance
            return f"{value} {unit}"
        value = round(value / 1024)
    return f"{value} GB"


def elapsed(execution: ExecutionReport) -> float | None:
    """Return how long the current or last attempt has taken, in seconds."""
    if execution.attempt == 0:
        return None
    end = execution.completed_at or datetime.now(UTC)
    last = execution.attempts[-1] if execution.attempts else None
    if last is not None and last.seconds is not None:
        return last.seconds
    return max((end - execution.started_at).total_seconds(), 0)


def message(execution: ExecutionReport) -> str:
    """Return what is worth knowing of an execution in a few words."""
    if execution.status is State.RUNNING:
        return escaped(execution.progress[1])
    if execution.status is State.COMPLETED:
        wrote = [f"{v.document_type} v{v.version}" for v in execution.versions]
        wrote += ["an export" for _ in execution.exports]
        return f"wrote {', '.join(wrote)}" if wrote else "had nothing to write"
    if execution.error_code:
        return escaped(f"{execution.error_code}: {execution.error_message or ''}")
    return ""


def plain_rows(out: Console, headings: Headings, rows: Rows) -> None:
    """Print aligned columns of plain text."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        out.print("  ".join(cells).rstrip(), markup=False, soft_wrap=True)


def print_rows(out: Console, headings: Headings, rows: Rows) -> None:
    """Print a table on a terminal, aligned columns elsewhere; each row is one line."""
    rows = [[escaped(cell) for cell in row] for row in rows]
    if not out.is_terminal:
        plain_rows(out, headings, rows)
        return
    table = Table(*headings, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


def print_json(out: Console, data: object) -> None:
    """Print a JSON value so that no character of it means anything to a terminal."""
    text = json.dumps(data, ensure_ascii=False)
    out.print_json(text, ensure_ascii=escaped(text) != text)


def document_rows(documents: Sequence[DocumentReport]) -> tuple[Headings, Rows]:
    """Return the columns of a list of documents."""
    headings = ("document", "version", "readability", "grammar", "written by", "at", "execution")
    return headings, [
        (
            document.document_type,
            str(document.version),
            score(document.readability_score),
            score(document.grammar_score),
            f"{document.agent_type}, attempt {document.attempt}",
            document.created_at.isoformat(sep=" ", timespec="seconds"),
            str(document.execution_id),
        )
        for document in documents
    ]


def print_status(out: Console, report: StatusReport) -> None:
    """Print executions with their attempts and times, and the versions they wrote."""
    headings = ("agent", "status", "attempt", "elapsed", "started", "worker", "message")
    print_rows(
        out,
        headings,
        [
            (
                execution.agent_type,
                execution.status.value,
                f"{execution.attempt}/{execution.max_attempts or '-'}",
                seconds(elapsed(execution)),
                execution.started_at.isoformat(sep=" ", timespec="seconds")
                if execution.attempt
                else "-",
                execution.worker or "-",
                message(execution),
            )
            for execution in report.executions
        ],
    )
    versions = [
        (
            version.document_type,
            str(version.version),
            score(version.readability_score),
            score(version.grammar_score),
            f"{execution.agent_type}, attempt {version.attempt}",
        )
        for execution in report.executions
        for version in execution.versions
    ]
    if versions:
        out.print()
        print_rows(out, ("document", "version", "readability", "grammar", "written by"), versions)


def live_table(steps: Sequence[tuple[str, ExecutionReport | None]]) -> Table:
    """Return the table of a chain under way; steps that are not enqueued yet are waiting."""
    table = Table(box=None, header_style="bold", expand=True)
    for heading, width in (("agent", None), ("status", 9), ("attempt", None), ("elapsed", 7)):
        table.add_column(heading, min_width=width, no_wrap=True)
    # What is left of the line goes to the message, so that a narrow terminal cuts nothing else.
    table.add_column("message", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("", width=_BAR)
    for name, execution in steps:
        if execution is None:
            table.add_row(name, Text("waiting", style="dim"), "", "", "", "")
            continue
        fraction, _ = execution.progress
        running = execution.status is State.RUNNING
        table.add_row(
            name,
            Text(execution.status.value, style=COLOURS[execution.status]),
            str(execution.attempt or "-"),
            seconds(elapsed(execution)),
            Text(message(execution)),
            ProgressBar(total=1, completed=fraction, width=_BAR)
            if running and fraction is not None
            else "",
        )
    return table
