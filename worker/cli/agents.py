"""`copydesk agents`: which agents a worker started here would run."""

from typing import Annotated

import typer
from rich.table import Table

from worker.agents.registry import load_agents
from worker.cli.door import console
from worker.cli.views import plain_rows
from worker.settings import read_settings


def list_agents(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the agents that are installed or named in COPYDESK_AGENTS."""
    registry = load_agents(read_settings())
    out = console()
    if as_json:
        out.print_json(
            data=[
                {
                    "agent_type": agent.agent_type,
                    "runs_as": agent.isolation or agent.kind,
                    "timeout_seconds": agent.timeout,
                    "max_attempts": agent.max_attempts,
                    "summary": agent.summary,
                    "input": agent.input_model.model_json_schema(),
                }
                for agent in registry.values()
            ]
        )
        return
    rows = [
        (
            agent.agent_type,
            agent.isolation or agent.kind,
            f"{agent.timeout:g} s",
            str(agent.max_attempts),
            ", ".join(agent.input_model.model_fields),
            agent.summary,
        )
        for agent in registry.values()
    ]
    headings = ("agent", "runs as", "timeout", "attempts", "input", "what it does")
    if not out.is_terminal:
        plain_rows(out, headings, rows)
        return
    table = Table(*headings, box=None, header_style="bold")
    for row in rows:
        table.add_row(*row)
    out.print(table)
