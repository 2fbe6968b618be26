"""`copydesk doctor`: whether everything is as it has to be, and what to do where it is not."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli.door import FAILED, console, door
from worker.cli.views import print_rows
from worker.doctor import CHECKS, examine
from worker.findings import Examination, Severity
from worker.settings import Settings

_ORDER = list(Severity)


def doctor(
    context: typer.Context,
    isolation: Annotated[
        bool, typer.Option("--isolation", help="Only whether projects are kept apart.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Check what copydesk stands on, without changing anything; exit code 1 on an error."""
    names = ["isolation"] if isolation else list(CHECKS)

    async def work(settings: Settings) -> list[Examination]:
        return await examine(settings, names)

    examinations = door(context).run(work)
    if as_json:
        _print_json(examinations)
    else:
        _print_findings(examinations)
    if any(examination.errors for examination in examinations):
        raise typer.Exit(FAILED)


def _print_json(examinations: Sequence[Examination]) -> None:
    console().print_json(
        data={
            "findings": [asdict(found) for each in examinations for found in each.findings],
            "checked": {each.name: dict(each.checked) for each in examinations},
        }
    )


def _print_findings(examinations: Sequence[Examination]) -> None:
    out = console()
    findings = [found for each in examinations for found in each.findings]
    if findings:
        rows = [
            (found.severity.value, found.code, found.sentence, found.remedy)
            for found in sorted(findings, key=lambda found: _ORDER.index(found.severity))
        ]
        print_rows(out, ("severity", "code", "what is wrong", "remedy"), rows)
        return
    out.print("nothing to mend")
    for each in examinations:
        looked_at = (
            f"{len(names)} {kind.replace('_', ' ')}" for kind, names in each.checked.items()
        )
        out.print(f"{each.name}: {', '.join(looked_at)}")
