"""Agents that are after another project: they name it in every place an agent can reach."""

import json
import os
import socket
import struct
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from worker.agents.contract import (
    Agent,
    AgentError,
    Draft,
    ExportFile,
    Outcome,
    RunContext,
    ThreadContext,
    agent,
)


class Target(BaseModel):
    """The other project, and what is known of it."""

    project_id: str
    execution_id: str
    document_type: str
    how: str = ""


@agent("pretender", max_attempts=1)
async def pretender(context: RunContext, input: Target) -> Outcome:  # noqa: A002
    """Rewrite the facts of its own attempt, then read, report, log and write."""
    for name in ("project_id", "execution_id", "correlation_id", "requested_by"):
        object.__setattr__(context.run, name, input.execution_id)
    object.__setattr__(context.run, "project_id", input.project_id)
    context.progress(0.5, "half")
    context.log.info("said", project_id=input.project_id, execution_id=input.execution_id)
    found = {}
    for version in (None, 1):
        try:
            await context.document(input.document_type, version)
            found[str(version)] = "found"
        except AgentError as error:
            found[str(version)] = f"{error.code}: {error.message}"
    latest = [document.document_type for document in await context.latest_documents()]
    named = {"project_id": input.project_id, "execution_id": input.execution_id}
    return Outcome(
        output={"found": found, "latest": latest, **named},
        drafts=[Draft(document_type="pretence", content="# Mine\n", metadata=named)],
    )


@agent("climber", max_attempts=1)
async def climber(context: RunContext, input: Target) -> Outcome:  # noqa: A002, ARG001
    """Answer with a file whose name climbs into the other project's directory, unchecked."""
    file = ExportFile.model_construct(
        content=b"planted",
        suffix=f"/../../{input.project_id}/planted.zip",
        manifest={},
        lifetime=timedelta(hours=1),
    )
    return Outcome.model_construct(output={}, drafts=[], exports=[file])


def _sent(fields: dict[str, Any]) -> None:
    """Write a message of one's own to every socket there is; one of them leads to the worker."""
    body = json.dumps(fields).encode()
    for number in range(3, 64):
        try:
            with socket.socket(fileno=os.dup(number)) as wire:
                wire.sendall(struct.pack(">I", len(body)) + body)
        except OSError:
            continue


FORGERIES: dict[str, dict[str, Any]] = {
    "read": {"kind": "read", "document_type": "TYPE", "project_id": "PROJECT"},
    "report": {"kind": "report", "fraction": 0.5, "message": "", "execution_id": "EXECUTION"},
    "ended": {
        "kind": "ended",
        "answer": "outcome",
        "value": {"output": {}, "drafts": [], "exports": [], "project_id": "PROJECT"},
        "execution_id": "EXECUTION",
    },
    "draft": {
        "kind": "ended",
        "answer": "outcome",
        "value": {
            "output": {},
            "drafts": [{"document_type": "x", "content": "x", "project_id": "PROJECT"}],
            "exports": [],
        },
    },
    "climb": {
        "kind": "ended",
        "answer": "outcome",
        "value": {
            "output": {},
            "drafts": [],
            "exports": [
                {
                    "content": "",
                    "suffix": "/../../PROJECT/planted.zip",
                    "manifest": {},
                    "lifetime": [0, 60, 0],
                }
            ],
        },
    },
}
"""Messages to the worker that name another project, by what they pretend to be."""


@agent("forger", max_attempts=1, isolation="process")
def forger(context: ThreadContext, input: Target) -> Outcome:  # noqa: A002
    """Speak to the worker over the head of the contract, then wait to be believed."""
    words = json.dumps(FORGERIES[input.how]).replace("PROJECT", input.project_id)
    words = words.replace("EXECUTION", input.execution_id).replace("TYPE", input.document_type)
    _sent(json.loads(words))
    context.progress(0.9, "waiting")
    return Outcome(output={"believed": "nothing was said against it"})


@agent("rummager", max_attempts=1, isolation="process")
def rummager(context: ThreadContext, input: Target) -> Outcome:  # noqa: A002, ARG001
    """Look for a way to the servers in what the process was given."""
    given = [
        Path("/proc/self/cmdline").read_text().replace("\0", " "),
        *os.environ.values(),
        *os.environ,
        repr(vars(context)),
        repr(vars(context._context)),
    ]
    families = []
    for number in range(3, 64):
        try:
            with socket.socket(fileno=os.dup(number)) as found:
                families.append(found.family.name)
        except OSError:
            continue
    return Outcome(output={"given": "\n".join(given), "sockets": families})


@agent("burglar", max_attempts=1, isolation="process")
def burglar(context: ThreadContext, input: Target) -> Outcome:  # noqa: A002, ARG001
    """Read the environment of the worker that began this process."""
    kept = Path(f"/proc/{os.getppid()}/environ").read_text()
    return Outcome(output={"names": [each.split("=")[0] for each in kept.split("\0")]})


@agent("insider", max_attempts=1)
async def insider(context: RunContext, input: Target) -> Outcome:  # noqa: A002
    """Turn its reader, behind the contract, to the other project."""
    context._reader._project_id = UUID(input.project_id)  # type: ignore[attr-defined]
    found = await context.document(input.document_type)
    return Outcome(output={"content": found.content.strip()})


agents: list[Agent] = [value for value in globals().values() if isinstance(value, Agent)]
