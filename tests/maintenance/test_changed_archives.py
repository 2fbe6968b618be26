"""An archive that was changed, however well, is refused with a reason and leaves nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.maintenance.archives import (
    Members,
    put_together,
    taken_apart,
    vouched_for,
    with_manifest,
    with_rows,
)
from tests.maintenance.place import Place, Sound, refusal

Change = Callable[[Members], Members]


def rows(table: str, **fields: Any) -> Change:
    """Return what changes fields in every row of a table."""
    return lambda members: with_rows(members, table, lambda row: {**row, **fields})


def without(table: str) -> Change:
    """Return what leaves out every row of a table."""
    return lambda members: with_rows(members, table, lambda _: None)


def member(name: str, content: bytes, *, vouched: bool = True) -> Change:
    """Return what adds or replaces a member."""

    def change(members: Members) -> Members:
        changed = {**members, name: content}
        return vouched_for(changed) if vouched else changed

    return change


def manifest(**fields: Any) -> Change:
    """Return what changes fields of the manifest."""
    return lambda members: with_manifest(members, **fields)


def _with_seven_exports(manifest: bytes) -> bytes:
    fields = json.loads(manifest)
    fields["members"]["exports.jsonl"]["rows"] = 7
    return json.dumps(fields).encode()


CHANGED: dict[str, tuple[Change, str]] = {
    "a byte of a row": (
        lambda m: {**m, "projects.jsonl": m["projects.jsonl"].replace(b"Test", b"Best")},
        "projects.jsonl: is not what the manifest says",
    ),
    "a row fewer": (
        lambda m: {**m, "execution_events.jsonl": m["execution_events.jsonl"].partition(b"\n")[2]},
        "execution_events.jsonl: is not what the manifest says",
    ),
    "another count": (
        lambda m: {**m, "manifest.json": _with_seven_exports(m["manifest.json"])},
        "exports.jsonl: has 1 rows, and the manifest says 7",
    ),
    "no manifest": (
        lambda m: {name: content for name, content in m.items() if name != "manifest.json"},
        "has no manifest.json",
    ),
    "a manifest that is no JSON": (
        lambda m: {**m, "manifest.json": b"{"},
        "manifest.json: breaks the format",
    ),
    "another format": (manifest(format="somebody-elses"), "is not of format copydesk-project"),
    "a later version": (manifest(version=2), "is not of format copydesk-project, version 1"),
    "another project's manifest": (manifest(project_id=str(uuid4())), "belongs to another project"),
    "a member that is not named": (
        member("files/more.zip", b"x", vouched=False),
        "its members are not those",
    ),
    "a table that lacks": (
        lambda m: vouched_for({n: c for n, c in m.items() if n != "exports.jsonl"}),
        "lacks exports.jsonl",
    ),
    "a member of another kind": (member("readme.txt", b"x"), "belongs to no project archive"),
    "a path that climbs": (member("files/../../up.zip", b"x"), "belongs to no project archive"),
    "an absolute path": (member("/etc/passwd", b"x"), "belongs to no project archive"),
    "a path with backslashes": (member("files/..\\up.zip", b"x"), "belongs to no project archive"),
    "a file that no row names": (member("files/more.zip", b"x"), "its files are not those"),
    "a line without an end": (
        lambda m: vouched_for({**m, "users.jsonl": m["users.jsonl"] + b"{}"}),
        "users.jsonl: has a line",
    ),
    "a line that is no JSON": (
        lambda m: vouched_for({**m, "projects.jsonl": b"nonsense\n"}),
        "projects.jsonl, line 1: is no JSON",
    ),
    "a line with a key twice": (
        lambda m: vouched_for(
            {**m, "projects.jsonl": m["projects.jsonl"].replace(b"{", b'{"id":"x",', 1)}
        ),
        "projects.jsonl, line 1: is no JSON",
    ),
    "nested without end": (
        lambda m: vouched_for({**m, "projects.jsonl": b"[" * 100_000 + b"\n"}),
        "projects.jsonl, line 1: is no JSON",
    ),
    "a field more": (rows("exports", more=1), "exports.jsonl, line 1: has not the fields"),
    "a row of another project": (
        rows("document_versions", project_id=str(uuid4())),
        "document_versions.jsonl, line 1: belongs to another project",
    ),
    "a project of another id": (
        rows("projects", id=str(uuid4())),
        "projects.jsonl, line 1: belongs to another project",
    ),
    "something pending": (
        rows("agent_executions", status="pending", completed_at=None),
        "agent_executions.jsonl, line 1: has not ended",
    ),
    "something running": (
        rows("agent_executions", status="running"),
        "agent_executions.jsonl, line 1: has not ended",
    ),
    "a user that is not explained": (
        rows("document_versions", created_by=str(uuid4())),
        "document_versions.jsonl, line 1: created_by is none of the archive's users",
    ),
    "no users": (without("users"), "created_by is none of the archive's users"),
    "a user without an address": (rows("users", email="x"), "email must be an email address"),
    "a file elsewhere": (
        rows("exports", file_path="../../../etc/passwd"),
        "exports.jsonl, line 1: file_path leads out of",
    ),
    "a file of another project": (
        rows("exports", file_path=f"{uuid4()}/x.zip"),
        "exports.jsonl, line 1: file_path leads out of",
    ),
    "an event of another project's execution": (
        rows("execution_events", execution_id=str(uuid4())),
        "execution_events.jsonl, lines 1 to .*constraint fk_execution_events_execution",
    ),
    "versions of nobody": (
        rows("document_versions", execution_id=str(uuid4())),
        "document_versions.jsonl, lines 1 to .*constraint fk_documents_execution",
    ),
    "version 0": (
        rows("document_versions", version=0),
        "document_versions.jsonl, lines 1 to 1: .*constraint check_document_versions_version",
    ),
    "a number that is none": (
        rows("document_versions", version="x"),
        "document_versions.jsonl, lines 1 to 1: PostgreSQL refuses",
    ),
    "a character that text cannot hold": (
        rows("document_versions", content="a\x00b"),
        "document_versions.jsonl, lines 1 to 1: PostgreSQL refuses",
    ),
    "a name that is too long": (rows("projects", name="x" * 256), "projects.jsonl, lines 1 to 1"),
    "no project": (without("projects"), "constraint fk_agent_executions_project_id"),
}


@pytest.mark.parametrize("name", CHANGED)
async def test_a_changed_archive_is_refused_and_leaves_nothing(
    name: str, sound: Sound, there: Place, tmp_path: Path
) -> None:
    """Whoever changes one may make the hashes fit; rows and paths are not believed either."""
    change, words = CHANGED[name]
    changed = put_together(tmp_path / "changed.zip", change(taken_apart(sound.archive)))
    said = await refusal(there, changed)
    assert re.search(words, said), said
