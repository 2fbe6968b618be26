"""`copydesk prune` and `copydesk reindex`: keeping a database in shape."""

import re
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from worker.cli.door import console, door, say
from worker.cli.views import print_rows, seconds, size
from worker.errors import InputInvalidError, NotFoundError
from worker.identifiers import parse_project
from worker.maintenance.files import ExportFiles, export_files
from worker.settings import Settings, secret

_AGE = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_OLDEST = timedelta(days=36_500)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_COLUMNS = {
    "agent_executions": "executions",
    "execution_events": "events",
    "document_versions": "versions",
    "exports": "exports",
    "expired": "expired",
    "files": "files",
}


def prune(
    context: typer.Context,
    project: Annotated[
        list[str] | None,
        typer.Option("--project", metavar="ID", help="Which project; may be repeated."),
    ] = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="Every project, one after the other.")
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Executions that ended longer ago: 12h, 90d, 2w."),
    ] = None,
    documents: Annotated[
        bool, typer.Option("--documents", help="Their old versions too, never the latest one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only count.")] = False,
    batch: Annotated[
        int, typer.Option(min=1, max=10_000, help="Executions in one transaction.")
    ] = 500,
) -> None:
    """Remove old executions, expired export files, and files that no row names."""
    ids = [parse_project(each) for each in project or []]
    if bool(ids) == all_projects:
        raise InputInvalidError("prune: name projects with --project, or give --all-projects")
    if documents and older_than is None:
        raise InputInvalidError("--documents: goes with --older-than")
    age = None if older_than is None else _age(older_than)

    async def work(settings: Settings) -> list[tuple[UUID, Counter[str]]]:
        from worker.maintenance.opening import (  # noqa: PLC0415 - loads SQLAlchemy
            opened_dispatch,
            opened_pruner,
        )
        from worker.maintenance.pruning import Order, projects  # noqa: PLC0415

        order = Order(age, documents, yes)
        files = export_files(settings)
        if files is None and age is None:
            raise InputInvalidError(
                "prune: there is nothing to do; give --older-than for executions, or set "
                "COPYDESK_EXPORTS_DIRECTORY for export files"
            )
        found = []
        async with AsyncExitStack() as stack:
            pruner = await stack.enter_async_context(opened_pruner(settings, batch=batch))
            if all_projects:
                dispatch = await stack.enter_async_context(opened_dispatch(settings))
                ids.extend([id_ async for id_ in projects(dispatch)])
                ids.extend(_with_files_only(files, ids))
            for id_ in ids:
                try:
                    found.append((id_, await pruner.prune(id_, order)))
                except NotFoundError:
                    if not all_projects:  # else deleted while this was on its way there
                        raise
        return found

    found = door(context).run(work)
    _print_pruned(found, skip_empty=all_projects)
    if not yes:
        say("nothing was changed; --yes removes it")


def reindex(
    context: typer.Context,
    concurrently: Annotated[
        bool,
        typer.Option(
            "--concurrently/--no-concurrently",
            help="Beside workers at work; the other is quicker, and holds writers up.",
        ),
    ] = True,
    table: Annotated[
        str | None, typer.Option(metavar="TABLE", help="The indexes of this table only.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds to wait for others, each time.")
    ] = 30,
) -> None:
    """Build indexes anew, one after the other, and show what became of their sizes."""

    async def work(settings: Settings) -> None:
        from worker.maintenance.reindexing import (  # noqa: PLC0415 - loads SQLAlchemy
            opened_reindexer,
        )

        settings.require("maintenance_url")
        owner = None if settings.owner_url is None else secret(settings.owner_url)
        out = console()
        async with opened_reindexer(
            secret(settings.maintenance_url), owner, patience=patience
        ) as reindexer:
            rows = [
                (
                    index.of_table,
                    index.name,
                    size(index.before),
                    size(index.after),
                    seconds(index.seconds),
                )
                async for index in reindexer.rebuild(table, concurrently=concurrently)
            ]
        print_rows(out, ("table", "index", "before", "after", "took"), rows)

    door(context).run(work)


def _with_files_only(files: ExportFiles | None, known: list[UUID]) -> list[UUID]:
    """Return the projects that have a directory and no execution: deleted ones, say."""
    return [] if files is None else sorted(set(files.projects()) - set(known))


def _print_pruned(found: list[tuple[UUID, Counter[str]]], *, skip_empty: bool) -> None:
    rows = [
        (str(id_), *(str(counts[name]) for name in _COLUMNS))
        for id_, counts in found
        if any(counts.values()) or not skip_empty
    ]
    total = [str(sum(counts[name] for _, counts in found)) for name in _COLUMNS]
    if len(rows) != 1:
        rows.append((f"{len(found)} projects", *total))
    print_rows(console(), ("project", *_COLUMNS.values()), rows)


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    age = None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})
    if age is None or age > _OLDEST:
        raise InputInvalidError(
            "--older-than: must be a number and a unit (s, m, h, d, w), such as 12h, 90d or 2w, "
            "and at most a century"
        )
    return age
