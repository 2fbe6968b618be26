"""`export`: one ZIP of the latest version of every document of the project, with a manifest.

The agent builds the bytes and the manifest; the worker stores the file and records it in `exports`.
The same documents give the same bytes: entries are sorted, and their times are the documents'.
"""

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from worker.agents.contract import (
    Agent,
    AgentError,
    Document,
    ExportFile,
    Outcome,
    ThreadContext,
    agent,
)
from worker.settings import Settings

MANIFEST = "manifest.json"
_REGULAR_FILE = 0o100644 << 16
_MADE_ON_UNIX = 3


class ExportInput(BaseModel):
    """Input of `export`: after how many days the file expires."""

    model_config = ConfigDict(extra="forbid")

    lifetime_days: int = Field(default=30, ge=1, le=365)


def export_agent(settings: Settings) -> Agent:
    """Return the agent `export`."""

    @agent("export", timeout=300)
    def export(context: ThreadContext, given: ExportInput) -> Outcome:
        """Build a ZIP of the latest version of every document, with a manifest.

        Raises:
            AgentError: `exports_not_configured` or `nothing_to_export`, both final.
        """
        if settings.exports_directory is None:
            raise AgentError(
                "exports have no place: set COPYDESK_EXPORTS_DIRECTORY to a directory "
                "that the workers may write to",
                code="exports_not_configured",
            )
        context.progress(0.0, "reading the documents")
        documents = sorted(context.latest_documents(), key=lambda it: it.document_type)
        if not documents:
            raise AgentError(
                "the project has no document; import or write one first", code="nothing_to_export"
            )
        context.progress(0.3, f"packing {len(documents)} documents")
        manifest = {
            "project_id": str(context.project_id),
            "documents": [_entry(document) for document in documents],
        }
        content = _zip(documents, manifest)
        context.progress(1.0, f"packed {len(documents)} documents")
        return Outcome(
            output={
                "documents": len(documents),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            },
            exports=[
                ExportFile(
                    content=content,
                    suffix=".zip",
                    manifest=manifest,
                    lifetime=timedelta(days=given.lifetime_days),
                )
            ],
        )

    return export


def _entry(document: Document) -> dict[str, Any]:
    return {
        "document_type": document.document_type,
        "version": document.version,
        "file": _file_name(document),
        "sha256": hashlib.sha256(document.content.encode()).hexdigest(),
        "execution_id": str(document.execution_id),
        "created_at": document.created_at.astimezone(UTC).isoformat(),
    }


def _file_name(document: Document) -> str:
    return f"{document.document_type}-v{document.version}.md"


def _zip(documents: list[Document], manifest: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        newest = max(document.created_at for document in documents)
        _add(archive, MANIFEST, newest, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        for document in documents:
            _add(archive, _file_name(document), document.created_at, document.content)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, at: datetime, text: str) -> None:
    entry = zipfile.ZipInfo(name, date_time=at.astimezone(UTC).timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    # Left to itself, zipfile writes the host system into every entry.
    entry.create_system = _MADE_ON_UNIX
    entry.external_attr = _REGULAR_FILE
    archive.writestr(entry, text.encode())
