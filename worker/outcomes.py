"""What an outcome has to be before it is recorded. Nothing in it is believed.

An outcome is the agent's own object: its class may be a derived one, its parts may have been
changed since they were made, or never been checked. So every part is made anew by the contract,
and written as it goes into the database. What is too large is refused before it is written, and
what takes long to write is written in a thread.
"""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from worker.agents.contract import Draft, ExportFile, Outcome
from worker.errors import OutputInvalidError, OutputTooLargeError
from worker.ledger.records import DraftRow
from worker.requests import describe_faults
from worker.strict_json import (
    TooLargeJsonError,
    UnstorableJsonError,
    check_shape,
    check_text,
    encode,
)

# PostgreSQL takes a gigabyte in one message; a character may be four bytes, and the driver copies.
_MOST_CHARACTERS = 100_000_000
# Up to here writing takes less time than it takes to go to a thread and back.
_SMALL = 65_536

Part = TypeVar("Part", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """An export file as it is to be stored; `manifest` is JSON text."""

    content: bytes
    suffix: str
    manifest: str
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class CheckedOutcome:
    """An outcome as it is to be recorded; `output` is JSON text."""

    output: str
    drafts: tuple[DraftRow, ...]
    exports: tuple[CheckedExport, ...]


class OutcomeRules:
    """Checks outcomes; large ones in a thread of its own, one after another.

    Args:
        output_limit: bytes of output, and of each metadata and manifest, as JSON.
        document_limit: bytes of one document.
    """

    def __init__(self, *, output_limit: int, document_limit: int) -> None:
        self._output_limit = output_limit
        self._document_limit = document_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="copydesk-outcomes")

    async def check(self, outcome: Outcome) -> CheckedOutcome:
        """Return the outcome as it is to be recorded.

        Raises:
            OutputTooLargeError: a part, or all of it together, is too large.
            OutputInvalidError: something in it is not what the contract allows.
        """
        if _is_small(outcome):
            return self._check(outcome)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._check, outcome)

    def check_shape(self, outcome: Outcome) -> None:
        """Refuse at a glance what can be seen without writing it out.

        Raises:
            OutputTooLargeError: a part, or all of it together, is too large.
            OutputInvalidError: a key is not text, or levels are too many.
        """
        texts = [draft.content for draft in outcome.drafts]
        if any(len(text) > self._document_limit for text in texts):
            raise OutputTooLargeError(f"drafts: one has more than {self._document_limit} bytes")
        _check_total(texts)
        parts = {"output": [outcome.output]}
        parts["drafts.metadata"] = [draft.metadata for draft in outcome.drafts]
        parts["exports.manifest"] = [file.manifest for file in outcome.exports]
        for field, values in parts.items():
            for value in values:
                try:
                    check_shape(value, limit=self._output_limit)
                except UnstorableJsonError as error:
                    raise _refused(field, error) from None

    def _check(self, outcome: Outcome) -> CheckedOutcome:
        try:
            return self._checked(outcome)
        except OutputInvalidError:
            raise
        except BaseException as error:  # noqa: BLE001 - an answer may be anything inside
            kind = type(error).__name__[:100]
            raise OutputInvalidError(f"the agent's answer cannot be recorded ({kind})") from None

    def _checked(self, outcome: Outcome) -> CheckedOutcome:
        drafts = _made(Draft, "drafts", outcome.drafts)
        exports = _made(ExportFile, "exports", outcome.exports)
        types = [draft.document_type for draft in drafts]
        if len(types) != len(set(types)):
            raise OutputInvalidError(
                "drafts: two have the same document_type; an execution files one version of each"
            )
        if not isinstance(outcome.output, dict):
            raise OutputInvalidError("output: must be a dict")
        _check_total([draft.content for draft in drafts])
        made = CheckedOutcome(
            self._json("output", outcome.output),
            tuple(self._draft(draft) for draft in drafts),
            tuple(self._export(file) for file in exports),
        )
        _check_total([made.output, *(text for row in made.drafts for text in _texts(row))])
        return made

    def _draft(self, draft: Draft) -> DraftRow:
        where = f"drafts.{draft.document_type}"
        try:
            check_text(draft.content, limit=self._document_limit)
        except UnstorableJsonError as error:
            raise _refused(f"{where}.content", error) from None
        return DraftRow(
            document_type=draft.document_type,
            content=draft.content,
            metadata=self._json(f"{where}.metadata", draft.metadata),
            readability_score=draft.readability_score,
            grammar_score=draft.grammar_score,
            base_version=draft.base_version,
        )

    def _export(self, file: ExportFile) -> CheckedExport:
        manifest = self._json("exports.manifest", file.manifest)
        return CheckedExport(file.content, file.suffix, manifest, file.lifetime)

    def _json(self, field: str, value: object) -> str:
        try:
            return encode(value, limit=self._output_limit)
        except UnstorableJsonError as error:
            raise _refused(field, error) from None


def _made(kind: type[Part], field: str, parts: object) -> list[Part]:
    """Make every part anew, by the rules of its kind."""
    if not isinstance(parts, list | tuple):
        raise OutputInvalidError(f"{field}: must be a list")
    made = []
    for place, part in enumerate(parts):
        if not isinstance(part, kind):
            raise OutputInvalidError(f"{field}.{place}: must be made with {kind.__name__}(...)")
        try:
            made.append(kind(**{name: getattr(part, name) for name in kind.model_fields}))
        except ValidationError as error:
            raise OutputInvalidError(f"{field}.{place}.{describe_faults(error)}") from None
    return made


def _texts(row: DraftRow) -> tuple[str, str]:
    return row.content, row.metadata


def _check_total(texts: Iterable[str]) -> None:
    total = sum(map(len, texts))
    if total > _MOST_CHARACTERS:
        raise OutputTooLargeError(
            f"the outcome has more than {_MOST_CHARACTERS} characters in all; file less at a time"
        )


def _refused(field: str, error: UnstorableJsonError) -> OutputInvalidError:
    kind = OutputTooLargeError if isinstance(error, TooLargeJsonError) else OutputInvalidError
    return kind(f"{field}: {error}")


def _is_small(outcome: Outcome) -> bool:
    try:
        parts: Sequence[object] = [
            outcome.output,
            *(draft.metadata for draft in outcome.drafts),
            *(file.manifest for file in outcome.exports),
        ]
        check_shape(parts, limit=_SMALL)
        return sum(len(draft.content) for draft in outcome.drafts) <= _SMALL
    except TooLargeJsonError:
        return False
    except BaseException:  # noqa: BLE001 - told when it is checked
        return True
