"""`import_document` files what it is given; `export` packs the latest versions."""

import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from worker.agents.builtin.export import export_agent
from worker.agents.contract import Agent, AgentError
from worker.agents.registry import Registry
from worker.settings import Settings

from .desk import EARLIER, NOON, PROJECT, Desk, only_draft


@pytest.fixture
def export(tmp_path: Path) -> Agent:
    """Return `export` with a place for its files."""
    return export_agent(Settings(_env_file=None, exports_directory=tmp_path))


async def test_import_files_the_content_unchanged_with_its_metadata(
    desk: Desk, agents: Registry
) -> None:
    """What was given is what is filed: no trimming, no scores that nobody measured."""
    content = "\n# Größe\r\n\r\n teh text \n"
    outcome = await desk.run(
        agents["import_document"],
        document_type="notes",
        content=content,
        metadata={"source": "notes.md"},
    )
    draft = only_draft(outcome)
    assert (draft.document_type, draft.content) == ("notes", content)
    assert draft.metadata == {"source": "notes.md"}
    assert (draft.readability_score, draft.grammar_score) == (None, None)
    assert outcome.output == {
        "document_type": "notes",
        "characters": len(content),
        "lines": 4,
    }


@pytest.mark.parametrize("content", ["", " \n\t ", "\ufeff\u200b\u00a0\n"])
async def test_import_refuses_content_without_a_visible_character(
    desk: Desk, agents: Registry, content: str
) -> None:
    """An empty document is a mistake of the caller, and trying again cannot mend it."""
    with pytest.raises(AgentError) as refused:
        await desk.run(agents["import_document"], document_type="notes", content=content)
    assert (refused.value.code, refused.value.retryable) == ("document_empty", False)


@pytest.mark.parametrize(
    "given",
    [
        {"document_type": "Not A Name", "content": "x"},
        {"document_type": "x" * 51, "content": "x"},
        {"document_type": "notes", "content": "x", "project_id": str(PROJECT)},
    ],
)
async def test_import_refuses_names_and_fields_it_does_not_know(
    desk: Desk, agents: Registry, given: dict[str, str]
) -> None:
    """A document type is a name of at most 50 characters, and a typo in a field is not ignored."""
    with pytest.raises(ValidationError):
        await desk.run(agents["import_document"], **given)


async def test_export_packs_the_latest_versions_with_a_manifest_that_can_be_checked(
    desk: Desk, export: Agent
) -> None:
    """Everyone who has the ZIP can verify each file, and see which execution wrote it."""
    desk.file("notes", "old")
    desk.file("notes", "new ü")
    desk.file("article", "# A\n")
    outcome = await desk.run(export, lifetime_days=7)
    (file,) = outcome.exports
    assert (file.suffix, file.lifetime) == (".zip", timedelta(days=7))
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "article-v1.md", "notes-v2.md"]
        manifest = json.loads(archive.read("manifest.json"))
        stored = {name: archive.read(name) for name in archive.namelist()}
    assert manifest == file.manifest
    assert manifest["project_id"] == str(PROJECT)
    assert manifest["documents"][1] == {
        "document_type": "notes",
        "version": 2,
        "file": "notes-v2.md",
        "sha256": hashlib.sha256("new ü".encode()).hexdigest(),
        "execution_id": str(EARLIER),
        "created_at": (NOON + timedelta(minutes=2)).isoformat(),
    }
    for entry in manifest["documents"]:
        assert hashlib.sha256(stored[entry["file"]]).hexdigest() == entry["sha256"]
    assert outcome.output["sha256"] == hashlib.sha256(file.content).hexdigest()
    assert outcome.drafts == []


async def test_the_same_documents_give_the_same_bytes(desk: Desk, export: Agent) -> None:
    """A repeated attempt makes the same file: nothing in it tells when it was packed."""
    desk.file("notes", "text")
    first, second = [await desk.run(export), await desk.run(export)]
    assert first.exports[0].content == second.exports[0].content
    assert first.exports[0].lifetime == timedelta(days=30)


async def test_export_without_documents_is_refused(desk: Desk, export: Agent) -> None:
    """An empty ZIP would look like a success."""
    with pytest.raises(AgentError) as refused:
        await desk.run(export)
    assert (refused.value.code, refused.value.retryable) == ("nothing_to_export", False)


async def test_export_without_a_directory_names_the_setting(desk: Desk, agents: Registry) -> None:
    """There is no default place for exports; the message says which variable to set."""
    desk.file("notes", "text")
    with pytest.raises(AgentError, match="COPYDESK_EXPORTS_DIRECTORY") as refused:
        await desk.run(agents["export"])
    assert (refused.value.code, refused.value.retryable) == ("exports_not_configured", False)


@pytest.mark.parametrize("days", [0, 366])
async def test_an_export_lives_between_a_day_and_a_year(
    desk: Desk, export: Agent, days: int
) -> None:
    """A lifetime out of range is refused at the door."""
    with pytest.raises(ValidationError):
        await desk.run(export, lifetime_days=days)
