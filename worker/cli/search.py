"""`copydesk search` and `copydesk stats`: what a project holds, found and counted."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console

from worker.cli.door import ProjectOption, client_of, console, door, one_project
from worker.cli.views import print_rows, seconds
from worker.errors import InputInvalidError
from worker.reports import StatisticsReport
from worker.settings import Settings

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


def search(
    context: typer.Context,
    project: ProjectOption,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="Versions whose metadata contain this.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="JSON", help="Executions whose output contains this.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Documents with words like these.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Find documents by metadata or words, or executions by output."""
    project_id = one_project(project)
    if sum(given is not None for given in (metadata, output, text)) != 1:
        raise InputInvalidError("search: give exactly one of --metadata, --output and --text")

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            found: Sequence[BaseModel]
            if metadata is not None:
                wanted = _json("--metadata", metadata)
                found = await client.search_documents(project_id, metadata=wanted, limit=limit)
            elif output is not None:
                wanted = _json("--output", output)
                found = await client.search_executions(project_id, output=wanted, limit=limit)
            else:
                found = await client.search_text(project_id, text or "", limit=limit)
        _print_found(console(), found, as_json=as_json)

    door(context).run(work)


def stats(context: typer.Context, project: ProjectOption, as_json: JsonOption = False) -> None:
    """Count a project's documents and executions, and say how long its agents take."""
    project_id = one_project(project)

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            report = await client.statistics(project_id)
        out = console()
        if as_json:
            out.print_json(data=report.model_dump(mode="json"))
        else:
            _print_statistics(out, report)

    door(context).run(work)


def _print_found(out: Console, found: Sequence[BaseModel], *, as_json: bool) -> None:
    rows = [item.model_dump(mode="json") for item in found]
    if as_json:
        out.print_json(data=rows)
    elif not rows:
        out.print("nothing found")
    else:
        headings = tuple(name.replace("_", " ") for name in rows[0])
        print_rows(out, headings, [[_cell(value) for value in row.values()] for row in rows])


def _print_statistics(out: Console, report: StatisticsReport) -> None:
    rate = "-" if report.success_rate is None else f"{report.success_rate:.1%}"
    by_status = [f"{number} {status.value}" for status, number in report.executions.items()]
    updated = report.updated_at.isoformat(sep=" ", timespec="seconds") if report.updated_at else "-"
    out.print(
        f"documents   {len(report.documents)}, {report.versions} versions, latest {updated}\n"
        f"executions  {', '.join(by_status) or 'none'}\n"
        f"success     {rate} of what completed or failed",
        markup=False,
    )
    if report.documents:
        out.print()
        print_rows(
            out,
            ("document", "versions", "latest"),
            [
                (d.document_type, str(d.versions), d.updated_at.isoformat(" ", "seconds"))
                for d in report.documents
            ],
        )
    if report.agents:
        out.print()
        print_rows(
            out,
            ("agent", "executions", "p50", "p95"),
            [
                (a.agent_type, str(sum(a.executions.values())), seconds(a.p50), seconds(a.p95))
                for a in report.agents
            ],
        )


def _cell(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _json(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InputInvalidError(f"{option}: cannot be read as JSON") from None
    if not isinstance(value, dict):
        raise InputInvalidError(
            f'{option}: must be a JSON object, such as \'{{"language": "de"}}\''
        )
    return value
