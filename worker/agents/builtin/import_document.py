"""`import_document`: files the Markdown it is given as the next version of a document type."""

import unicodedata
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from worker.agents.contract import Agent, AgentError, Draft, Name, Outcome, ThreadContext, agent


class ImportInput(BaseModel):
    """Input of `import_document`: the Markdown, what it is, and metadata to keep beside it."""

    model_config = ConfigDict(extra="forbid")

    document_type: Name
    content: str = Field(description="Markdown; at least one visible character")
    metadata: dict[str, Any] = Field(default_factory=dict)


def import_agent() -> Agent:
    """Return the agent `import_document`."""

    @agent("import_document", timeout=60)
    def import_document(context: ThreadContext, given: ImportInput) -> Outcome:
        """File given Markdown as the next version of a document type.

        Raises:
            AgentError: `document_empty`, final: the content has no visible character.
        """
        if not any(map(_visible, given.content)):
            raise AgentError(
                "content: holds no visible character; give the Markdown of the document",
                code="document_empty",
            )
        context.progress(1.0, f"read {len(given.content)} characters of {given.document_type}")
        draft = Draft(
            document_type=given.document_type, content=given.content, metadata=given.metadata
        )
        return Outcome(
            output={
                "document_type": given.document_type,
                "characters": len(given.content),
                "lines": len(given.content.splitlines()),
            },
            drafts=[draft],
        )

    return import_document


def _visible(character: str) -> bool:
    # Z: spaces; C: control and format characters, such as the zero-width space and the BOM.
    return unicodedata.category(character)[0] not in "ZC"
