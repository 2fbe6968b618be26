"""`copydesk project`: projects as a whole, from their making to their end."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.door import client_of, door, say
from worker.identifiers import parse_project
from worker.maintenance.archive.format import COLUMNS, FILES, member_of
from worker.maintenance.archive.reading import opened_archive
from worker.settings import Settings


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The project's name.")],
    by: Annotated[str, typer.Option(metavar="EMAIL", help="The user who owns it.")],
    language: Annotated[
        str, typer.Option(help="The language of its documents; set once, never changed.")
    ] = "en",
) -> None:
    """Create a project, and its user where there is none; print both ids."""

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            user = await client.create_user(email=by, name=by.split("@", 1)[0])
            project = await client.create_project(name=name, created_by=user, language=language)
        typer.echo(f"project {project}")
        typer.echo(f"user    {user}")

    door(context).run(work)


def delete(
    context: typer.Context,
    project: Annotated[str, typer.Argument(metavar="ID", help="The project.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only count.")] = False,
    cancel_running: Annotated[
        bool, typer.Option("--cancel-running", help="Cancel what runs, and wait for its end.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=86_400, help="For so many seconds at most.")
    ] = 60,
) -> None:
    """Remove a project for good: rows, Redis keys and export files; print a receipt."""
    project_id = parse_project(project)

    async def work(settings: Settings) -> None:
        from worker.maintenance.opening import opened_deletion  # noqa: PLC0415 - loads SQLAlchemy

        async with opened_deletion(settings) as deletion:
            if not yes:
                found = await deletion.survey(project_id)
                typer.echo(f"would be removed of project {project_id}")
                _print_counts(found.counts)
                typer.echo(f"under way: {found.pending} pending, {found.running} running")
                say("nothing was changed; --yes removes it")
                return
            receipt = await deletion.delete(project_id, cancel_running=cancel_running, wait=wait)
            typer.echo(f"removed of project {project_id}")
            _print_counts(receipt.counts)
            for remark in receipt.remarks:
                say(remark)

    door(context).run(work)


def export(
    context: typer.Context,
    project: Annotated[str, typer.Argument(metavar="ID", help="The project.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write.")],
    unfinished_as_cancelled: Annotated[
        bool,
        typer.Option(
            "--unfinished-as-cancelled",
            help="Write what is pending or running as cancelled; here it goes on.",
        ),
    ] = False,
) -> None:
    """Write a project into an archive: its rows as of one moment, and its export files."""
    project_id = parse_project(project)

    async def work(settings: Settings) -> None:
        from worker.maintenance.opening import opened_exporter  # noqa: PLC0415 - loads SQLAlchemy

        async with opened_exporter(settings) as exporter:
            manifest = await exporter.export(
                project_id, file, unfinished_as_cancelled=unfinished_as_cancelled
            )
        typer.echo(f"exported project {project_id}")
        files = [name for name in manifest.members if name.startswith(FILES)]
        rows = {name: member.rows or 0 for name, member in manifest.members.items()}
        _print_counts(
            Counter({table: rows[member_of(table)] for table in COLUMNS} | {"files": len(files)})
        )
        for path in manifest.missing_files:
            say(f"{path} is not there, and so not in the archive")

    door(context).run(work)


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive.")],
    owner_email: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="Who owns the project here; whoever did, if left out."),
    ] = None,
    max_size: Annotated[
        int | None, typer.Option(min=1, help="Bytes that the archive may have unpacked.")
    ] = None,
) -> None:
    """Take a project in from an archive: all of it, or nothing."""

    async def work(settings: Settings) -> None:
        from worker.maintenance.opening import opened_importer  # noqa: PLC0415 - loads SQLAlchemy

        with opened_archive(file, largest=max_size) as archive:
            async with opened_importer(settings) as importer:
                counts = await importer.import_project(archive, owner_email=owner_email)
            typer.echo(f"imported project {archive.manifest.project_id}")
        _print_counts(counts)

    door(context).run(work)


def _print_counts(counts: Counter[str]) -> None:
    for name in sorted(counts):
        typer.echo(f"{name:<18} {counts[name]}")
