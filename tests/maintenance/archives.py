"""Archives taken apart, changed, and put together again with hashes that fit."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Members = dict[str, bytes]

MANIFEST = "manifest.json"


def taken_apart(path: Path) -> Members:
    """Return the members of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put_together(path: Path, members: Members, *, compress: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write members into an archive as they are."""
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def vouched_for(members: Members) -> Members:
    """Return the members with a manifest that fits them, as somebody who cheats would."""
    manifest = json.loads(members[MANIFEST])
    manifest["members"] = {
        name: {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **({"rows": content.count(b"\n")} if name.endswith(".jsonl") else {}),
        }
        for name, content in members.items()
        if name != MANIFEST
    }
    return {**members, MANIFEST: json.dumps(manifest).encode()}


def with_rows(
    members: Members, table: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> Members:
    """Return the members with every row of a table changed, or left out, and vouched for."""
    name = f"{table}.jsonl"
    rows = [change(json.loads(line)) for line in members[name].splitlines()]
    lines = (json.dumps(row).encode() + b"\n" for row in rows if row is not None)
    return vouched_for({**members, name: b"".join(lines)})


def with_manifest(members: Members, **fields: Any) -> Members:
    """Return the members with fields of the manifest changed."""
    manifest = json.loads(members[MANIFEST]) | fields
    return {**members, MANIFEST: json.dumps(manifest).encode()}


def facts(path: Path) -> tuple[Members, dict[str, Any]]:
    """Return the members but for the manifest, and the manifest but for its time."""
    members = taken_apart(path)
    manifest = json.loads(members.pop(MANIFEST))
    assert manifest.pop("exported_at")
    return members, manifest
