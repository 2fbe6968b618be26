"""`copydesk documents` and `copydesk show`: what stands in a project."""

import sys
from typing import Annotated

import typer
from rich.markdown import Markdown

from worker.cli.door import ProjectOption, client_of, console, door, one_project
from worker.cli.views import document_rows, print_json, print_rows, score
from worker.redaction import escaped
from worker.settings import Settings

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


def documents(
    context: typer.Context,
    project: ProjectOption,
    as_json: JsonOption = False,
) -> None:
    """List the latest version of every document of a project."""
    project_id = one_project(project)

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            found = await client.documents(project_id)
        out = console()
        if as_json:
            print_json(out, [document.model_dump(mode="json") for document in found])
        elif not found:
            out.print("no documents yet")
        else:
            print_rows(out, *document_rows(found))

    door(context).run(work)


def show(
    context: typer.Context,
    document_type: Annotated[str, typer.Argument(metavar="TYPE", help="Which document.")],
    project: ProjectOption,
    version: Annotated[
        int | None, typer.Option(min=1, help="Which version; the latest where left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a version of a document: rendered on a terminal, as it is in a pipe."""
    project_id = one_project(project)

    async def work(settings: Settings) -> None:
        async with client_of(settings) as client:
            found = await client.document(project_id, document_type, version)
        out = console()
        content = found.content or ""
        if as_json:
            print_json(out, found.model_dump(mode="json"))
        elif not out.is_terminal:
            sys.stdout.write(content if content.endswith("\n") else content + "\n")
        else:
            out.print(
                f"[bold]{found.document_type}[/bold] version {found.version} of {found.versions}"
                f"  readability {score(found.readability_score)}"
                f"  grammar {score(found.grammar_score)}  by {found.agent_type}\n"
            )
            # What a document holds is shown, not done: no link, no escape sequence.
            shown = escaped(content.replace("\r\n", "\n"), lines=True)
            out.print(Markdown(shown, hyperlinks=False))

    door(context).run(work)
