"""Whose a message in Redis is: what stands under arq's keys, read without believing any of it."""

import json
import pickletools
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from worker.errors import CopydeskError
from worker.identifiers import parse_id
from worker.queue.payload import codec_of, decode_payload


def asks_for(raw: bytes, project_id: UUID, *, limit: int) -> bool:
    """Whether the message under `arq:job:...` is about this project.

    One that cannot be read counts as the project's where its bytes name it.
    """
    try:
        given = decode_payload(raw, limit=limit).arguments.get("project_id")
    except CopydeskError:
        return names(raw, project_id)
    try:
        return parse_id(given) == project_id
    except ValueError:
        return False


def names(raw: bytes, project_id: UUID) -> bool:
    """Whether bytes hold the project's id: as text, or as pickle writes a UUID."""
    text = str(project_id).encode()
    return text in raw.lower() or project_id.int.to_bytes(16, "little") in raw


@dataclass(frozen=True, slots=True)
class Result:
    """What stands under `arq:result:...`, as far as it tells whose it is.

    Attributes:
        execution_id: of an execution that was completed.
        texts: all texts in it, where it names no execution: the error is one of them.
        numbers: all whole numbers in it, among them when the execution was enqueued, in Unix ms.
    """

    execution_id: UUID | None
    texts: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()


def read_result(raw: bytes) -> Result | None:
    """Return what a result tells; None where it cannot be read, and so is nobody's of ours."""
    try:
        return _from_json(raw) if codec_of(raw) == "json" else _from_pickle(raw)
    except Exception:  # noqa: BLE001 - whoever wrote it picks the exception it causes
        return None


def _from_json(raw: bytes) -> Result:
    fields = json.loads(raw)
    answer = fields.get("r")
    if isinstance(answer, dict):
        return Result(_execution(answer.get("execution_id")))
    numbers = (each for each in fields.values() if type(each) is int)
    return Result(None, frozenset({str(answer)}), frozenset(numbers))


def _from_pickle(raw: bytes) -> Result:
    # Only taken apart, never run: a failure is an object of a class of arq's.
    texts: list[str] = []
    numbers = set()
    for _, argument, _ in pickletools.genops(raw):
        if isinstance(argument, str):
            texts.append(argument)
        elif type(argument) is int:
            numbers.add(argument)
    for name, value in pairwise(texts):
        if name == "execution_id" and (execution := _execution(value)):
            return Result(execution)
    return Result(None, frozenset(texts), frozenset(numbers))


def _execution(value: object) -> UUID | None:
    try:
        return parse_id(value)
    except ValueError:
        return None
