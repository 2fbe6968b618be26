"""`copydesk doctor`: whether everything is as it has to be, and what to do where it is not."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from worker.cli.door import FAILED, NOT_NOW, console, door
from worker.cli.views import plain_rows, print_json
from worker.doctor import CheckName
from worker.findings import Examination, Finding, Severity
from worker.redaction import escaped
from worker.settings import Settings

_ORDER = list(Severity)
_UNANSWERED = "check_unanswered"
_COLOURS = {
    "ok": "green",
    "notice": "cyan",
    "warning": "yellow",
    "error": "bold red",
    "not_checked": "magenta",
}


def doctor(
    context: typer.Context,
    only: Annotated[
        list[CheckName] | None,
        typer.Option("--only", metavar="CHECK", help="Only this check; may be given again."),
    ] = None,
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Only whether projects are kept apart.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Check what copydesk stands on, without changing anything; exit code 1 on an error."""
    # The models come with it, and SQLAlchemy with them.
    from worker.doctor.checks import examine  # noqa: PLC0415

    names = [*(only or []), *([CheckName.ISOLATION] if isolation else [])] or [*CheckName]

    async def work(settings: Settings) -> list[Examination]:
        return await examine(settings, names)

    examinations = door(context).run(work)
    if as_json:
        _print_json(examinations)
    else:
        _print(examinations)
    errors = {error.code for each in examinations for error in each.errors}
    if errors - {_UNANSWERED}:
        raise typer.Exit(FAILED)
    if errors:
        raise typer.Exit(NOT_NOW)


def _print_json(examinations: Sequence[Examination]) -> None:
    print_json(
        console(),
        {
            "findings": [
                {"check": each.name, **asdict(found)}
                for each in examinations
                for found in each.findings
            ],
            "checked": {each.name: dict(each.checked) for each in examinations},
            "checks": [
                {
                    "name": each.name,
                    "status": each.status,
                    "not_checked": each.not_checked,
                    "facts": list(each.facts),
                }
                for each in examinations
            ],
        },
    )


def _print(examinations: Sequence[Examination]) -> None:
    out = console()
    findings = sorted(
        (found for each in examinations for found in each.findings),
        key=lambda found: _ORDER.index(found.severity),
    )
    rows = [(each.name, each.status.replace("_", " "), _seen(each)) for each in examinations]
    if out.is_terminal:
        _print_coloured(out, findings, rows)
        return
    if findings:
        cells = [
            [escaped(text) for text in (found.severity, found.code, found.sentence, found.remedy)]
            for found in findings
        ]
        plain_rows(out, ("severity", "code", "what is wrong", "remedy"), cells)
    else:
        out.print("nothing to mend")
    out.print()
    plain_rows(out, ("check", "status", "what was seen"), [[*map(escaped, row)] for row in rows])


def _print_coloured(
    out: Console, findings: Sequence[Finding], rows: Sequence[tuple[str, str, str]]
) -> None:
    """Print a list: what mends a finding stands on a line of its own, to be copied."""
    for found in findings:
        severity = found.severity.value
        out.print(Text(f"{severity:<8}", _COLOURS[severity]) + Text(escaped(found.code), "bold"))
        out.print(Text(f"        {escaped(found.sentence)}"), soft_wrap=True)
        out.print(Text(f"        {escaped(found.remedy)}", "green"), soft_wrap=True)
    if not findings:
        out.print(Text("nothing to mend", _COLOURS["ok"]))
    out.print()
    for name, status, seen in rows:
        colour = _COLOURS[status.replace(" ", "_")]
        line = Text(f"{name:<14}") + Text(f"{status:<13}", colour) + Text(escaped(seen))
        out.print(line, soft_wrap=True)


def _seen(examination: Examination) -> str:
    if examination.not_checked is not None:
        return examination.not_checked
    looked_at = (
        f"{len(names)} {kind.replace('_', ' ')}" for kind, names in examination.checked.items()
    )
    return ", ".join(examination.facts or looked_at)
