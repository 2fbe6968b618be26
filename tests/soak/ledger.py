"""What the client was told against what is recorded: I1, I2 and I4, beside the tables alone."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.databases import DatabaseUrls
from tests.support.invariants import violations

_LAST_WORDS = {"accepted": 2, "refused": 1, "unknown": 0, "asked": 0}

_SEEN = """
    SELECT event, count(*) AS n FROM execution_events
    WHERE event IN ('rescued', 'released', 'retry_scheduled', 'write_rejected') GROUP BY event
"""


@dataclass
class Told:
    """What the client heard of one key."""

    project: str
    answer: str = "asked"
    ids: set[str] = field(default_factory=set)


def read(notebook: Path) -> dict[str, Told]:
    """Read the notebook; a line that was cut off by the end of the process is left out."""
    told: dict[str, Told] = {}
    for line in notebook.read_text("utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        entry = json.loads(line)
        heard = told.setdefault(entry["key"], Told(entry["project"]))
        if _LAST_WORDS[entry["what"]] >= _LAST_WORDS[heard.answer]:
            heard.answer = entry["what"]
        if "id" in entry:
            heard.ids.add(entry["id"])
    return told


async def verdict(database: DatabaseUrls, notebook: Path) -> tuple[list[str], dict[str, int]]:
    """Return every violation, and how much there was of what."""
    told = read(notebook)
    rows = await database.ask(
        "SELECT id::text, project_id::text AS project, idempotency_key AS key, status, error_code "
        "FROM agent_executions WHERE idempotency_key LIKE 'soak-%'"
    )
    recorded: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        recorded[row["key"]].append(dict(row))
    found = []
    counts: dict[str, int] = defaultdict(int)
    for key, heard in told.items():
        counts[heard.answer] += 1
        there = recorded.pop(key, [])
        if len(there) > 1:
            found.append(f"I2: {key} is {len(there)} executions")
        if heard.answer == "accepted":
            if [row["id"] for row in there] != sorted(heard.ids):
                found.append(f"I1: {key} was accepted as {heard.ids}, recorded is {there}")
        elif heard.answer == "refused" and there:
            found.append(f"I1: {key} was refused and is recorded: {there}")
        found += [f"I4: {key} is in {r['project']}" for r in there if r["project"] != heard.project]
        for row in there:
            counts[row["status"]] += 1
            if row["status"] not in {"completed", "failed", "cancelled"}:
                found.append(f"I1: {key} never ended: {row}")
    found += [f"I1: {key} was never asked for" for key in recorded]
    for row in await database.ask(_SEEN):
        counts[row["event"]] += row["n"]
    strange = await database.ask(
        "SELECT id FROM document_versions WHERE strpos(content, 'canary-' || project_id::text) = 0"
    )
    found += [f"I4: version {row['id']} has another project's text" for row in strange]
    return found + await violations(database), dict(counts)
