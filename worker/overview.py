"""Overview: what a client asks about a whole project, its documents, figures and searches."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from sqlalchemy.ext.asyncio import AsyncSession

from worker.database import Database
from worker.errors import InputInvalidError
from worker.identifiers import parse_project
from worker.readings import (
    DocumentReport,
    FoundExecution,
    FoundText,
    FoundVersion,
    StatisticsReport,
    find_executions,
    find_text,
    find_versions,
    list_documents,
    read_statistics,
)
from worker.requests import describe_faults
from worker.strict_json import UnstorableJsonError, encode

_LARGEST_QUESTION = 10_000

Answer = TypeVar("Answer")


def _storable(value: str) -> str:
    if "\x00" in value or not value.strip():
        raise ValueError("must be text with something in it, without a NUL character (U+0000)")
    return value


class _Search(BaseModel):
    """How much is wanted, and the words where they are text."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    limit: int = Field(ge=1, le=1000, strict=True)
    words: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_storable)] = "-"

    @classmethod
    def checked(cls, **fields: object) -> Self:
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputInvalidError(describe_faults(error)) from None


class Overview:
    """What a client asks about a project as a whole; a part of `Client`."""

    _database: Database

    async def documents(self, project_id: UUID | str) -> list[DocumentReport]:
        """Return the latest version of every document of a project, without contents."""
        return await self._ask(project_id, list_documents)

    async def statistics(self, project_id: UUID | str) -> StatisticsReport:
        """Return a project's figures: its documents, how executions ended, how long agents take."""
        return await self._ask(project_id, read_statistics)

    async def search_documents(
        self, project_id: UUID | str, *, metadata: Mapping[str, Any], limit: int = 100
    ) -> list[FoundVersion]:
        """Return document versions whose metadata contain a value, the latest executions' first.

        Args:
            project_id: the project.
            metadata: what must be in them, with every key and value at the same place, such as
                `{"language": "de"}`; at most 10,000 bytes as JSON.
            limit: at most this many, 1 to 1,000.

        Raises:
            InputInvalidError: a field breaks a rule; the message names both.
        """
        return await self._find(project_id, "metadata", metadata, limit, find_versions)

    async def search_executions(
        self, project_id: UUID | str, *, output: Mapping[str, Any], limit: int = 100
    ) -> list[FoundExecution]:
        """Return executions whose output contains a value, the latest first.

        The arguments and errors are those of `search_documents`.
        """
        return await self._find(project_id, "output", output, limit, find_executions)

    async def search_text(
        self, project_id: UUID | str, words: str, *, limit: int = 20
    ) -> list[FoundText]:
        """Return documents whose latest version has words like these, the most similar first.

        Args:
            project_id: the project.
            words: what to look for, up to 1,000 characters; misspelt ones are found too.
            limit: at most this many, 1 to 1,000.

        Raises:
            InputInvalidError: a field breaks a rule; the message names both.
            SearchUnavailableError: the database has no pg_trgm.
        """
        project = parse_project(project_id)
        wanted = _Search.checked(words=words, limit=limit)
        return await self._ask(
            project, lambda session, scope: find_text(session, scope, wanted.words, wanted.limit)
        )

    async def _find(
        self,
        project_id: UUID | str,
        field: str,
        value: Mapping[str, Any],
        limit: int,
        find: Callable[[AsyncSession, UUID, str, int], Coroutine[Any, Any, list[Answer]]],
    ) -> list[Answer]:
        project = parse_project(project_id)
        contained, wanted = _contained(field, value), _Search.checked(limit=limit)
        return await self._ask(
            project, lambda session, scope: find(session, scope, contained, wanted.limit)
        )

    async def _ask(
        self,
        project_id: UUID | str,
        read: Callable[[AsyncSession, UUID], Coroutine[Any, Any, Answer]],
    ) -> Answer:
        project = parse_project(project_id)
        async with self._database.project(project, snapshot=True) as session:
            return await read(session, project)


def _contained(field: str, value: Mapping[str, Any]) -> str:
    """Return a value that is searched for as JSON text."""
    if not isinstance(value, dict):
        raise InputInvalidError(f"{field}: must be a dict, such as {{'language': 'de'}}")
    try:
        text = encode(value, limit=_LARGEST_QUESTION)
    except UnstorableJsonError as error:
        raise InputInvalidError(f"{field}: {error}") from None
    if not _says_something(value):
        raise InputInvalidError(f"{field}: must have at least one value in it to look for")
    return text


def _says_something(value: object) -> bool:
    """Whether anything stands in it but empty objects and lists; it is no deeper than 200."""
    if isinstance(value, dict):
        return any(_says_something(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_says_something(inner) for inner in value)
    return True
