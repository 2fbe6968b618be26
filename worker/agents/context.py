"""What an agent is given: the facts of its attempt, a log, progress, and reads of its project."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from worker.agents.answers import AgentError


class Document(BaseModel):
    """One version of a document, as it stands in the project."""

    model_config = ConfigDict(frozen=True)

    document_type: str
    version: int
    content: str
    metadata: dict[str, Any]
    readability_score: float | None
    grammar_score: float | None
    created_at: datetime
    execution_id: UUID


class Log(Protocol):
    """The execution's logger: an event in words, and fields. Ids are bound to it already."""

    def debug(self, event: str, **fields: object) -> object:  # noqa: D102
        ...
    def info(self, event: str, **fields: object) -> object:  # noqa: D102
        ...
    def warning(self, event: str, **fields: object) -> object:  # noqa: D102
        ...
    def error(self, event: str, **fields: object) -> object:  # noqa: D102
        ...


class Reader(Protocol):
    """Reads documents of one project; which one was decided by the claim."""

    async def document(self, document_type: str, version: int | None) -> Document | None:
        """Return one version, or the latest where `version` is None; None where there is none."""
        ...

    async def latest_documents(self) -> list[Document]:
        """Return the latest version of every document type, ordered by type."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Who and what this attempt is. `language` is the project's, as in `projects.language`."""

    project_id: UUID
    execution_id: UUID
    attempt: int
    correlation_id: UUID
    agent_type: str
    language: str
    requested_by: UUID
    deadline: datetime


Report = Callable[[float | None, str], None]


class _Facts:
    """What both kinds of context offer without reading anything."""

    def __init__(self, run: Run, log: Log, report: Report) -> None:
        self.run = run
        self.log = log
        self._report = report

    @property
    def project_id(self) -> UUID:
        """The project this execution belongs to."""
        return self.run.project_id

    @property
    def execution_id(self) -> UUID:
        """The execution this attempt belongs to."""
        return self.run.execution_id

    @property
    def attempt(self) -> int:
        """Which try this is, counted from 1."""
        return self.run.attempt

    @property
    def correlation_id(self) -> UUID:
        """The id that follows the request across services and executions."""
        return self.run.correlation_id

    @property
    def language(self) -> str:
        """The project's language, such as `en` or `de-AT`."""
        return self.run.language

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        """Report how far the work is: `fraction` in 0..1 (None: unknown) and a short message.

        Returns at once and may be called often: the worker records the latest report a few times
        a second, as an event of this attempt.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"progress: fraction is {fraction}; give a number from 0 to 1")
        self._report(fraction, message)


class RunContext(_Facts):
    """What a coroutine agent gets: the facts of its attempt, a log, and reads of its project."""

    def __init__(self, run: Run, log: Log, report: Report, reader: Reader) -> None:
        super().__init__(run, log, report)
        self._reader = reader

    async def document(self, document_type: str, version: int | None = None) -> Document:
        """Return a version of a document of this project, the latest unless `version` is given.

        Raises:
            AgentError: `document_not_found`, final: the project has no such version.
        """
        found = await self._reader.document(document_type, version)
        return _present(found, document_type, version)

    async def latest_documents(self) -> list[Document]:
        """Return the latest version of every document of this project, ordered by type."""
        return await self._reader.latest_documents()


class ThreadContext(_Facts):
    """What a plain `def` agent gets: the same as `RunContext`, with reads that block its thread."""

    def __init__(self, context: RunContext, wait: Callable[[Awaitable[Any]], Any]) -> None:
        super().__init__(context.run, context.log, context.progress)
        self._context = context
        self._wait = wait

    def document(self, document_type: str, version: int | None = None) -> Document:
        """Return a version of a document, as `RunContext.document` does."""
        document: Document = self._wait(self._context.document(document_type, version))
        return document

    def latest_documents(self) -> list[Document]:
        """Return the latest version of every document of this project, ordered by type."""
        documents: list[Document] = self._wait(self._context.latest_documents())
        return documents


def _present(found: Document | None, document_type: str, version: int | None) -> Document:
    if found is None:
        which = "no version" if version is None else f"no version {version}"
        raise AgentError(
            f"the project has {which} of a document of type {document_type!r}; "
            "import or write it first",
            code="document_not_found",
        )
    return found
