"""What stands under `arq:job:<id>`: arq's five fields, in JSON or plain pickle, read with distrust.

The size is checked before anything is parsed. Whatever is wrong ends in one error type whose text
names the rule and repeats nothing of the message, so that it may be logged and stored.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal
from uuid import UUID

from worker.errors import EnvelopeError
from worker.queue.plain_pickle import PlainPickleError, PlainUnpickler
from worker.strict_json import UnstorableJsonError, read

Codec = Literal["json", "pickle"]

_FIELDS = frozenset("tfak") | {"et"}
# The last millisecond of the year 9999: what arq can still turn into a datetime.
_LAST_MS = 253_402_300_799_999
_MOST_TRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Payload:
    """One arq job, decoded.

    Attributes:
        function: the name of the function it asks for.
        arguments: its keyword arguments, or its one positional dict.
        enqueued_at_ms: when the producer says it was enqueued, in Unix milliseconds.
        codec: how it was written; its result is written the same way.
    """

    function: str
    arguments: dict[str, Any]
    enqueued_at_ms: int
    codec: Codec


def codec_of(raw: bytes) -> Codec:
    """Return how `raw` is written, as its first byte says; pickle, arq's default, when in doubt."""
    return "json" if raw.startswith(b"{") else "pickle"


def decode_payload(raw: bytes, *, limit: int) -> Payload:
    """Return the arq job in `raw`, at most `limit` bytes long.

    Raises:
        EnvelopeError: `payload_too_large`, or `bad_envelope` with the rule that is broken.
    """
    if len(raw) > limit:
        raise EnvelopeError(
            f"the payload is {len(raw)} bytes; at most {limit} are allowed",
            code="payload_too_large",
        )
    codec = codec_of(raw)
    try:
        fields = read(raw.decode()) if codec == "json" else _read_pickle(raw, limit)
    except EnvelopeError:
        raise
    except (PlainPickleError, UnstorableJsonError) as error:
        raise EnvelopeError(f"the payload {error}") from None
    except Exception as error:  # noqa: BLE001 - a hostile payload picks the exception it causes
        raise EnvelopeError(
            f"the payload is not readable as {codec} ({type(error).__name__})"
        ) from None
    return _checked(fields, codec)


def _read_pickle(raw: bytes, limit: int) -> object:
    value = PlainUnpickler(raw).load()
    _check_extent(value, limit)
    return value


def _check_extent(value: object, limit: int) -> None:
    """Refuse what grows when written out: a list may stand twice in its parent, or in itself.

    Thirty levels of `[x, x]` are 200 bytes of pickle and 2**30 values in JSON. Each part is
    measured once, children first, so the time it takes goes by the size of the pickle.
    """
    sizes: dict[int, int] = {}
    path: set[int] = set()
    pending: list[Any] = [value]
    while pending:
        part = pending[-1]
        inner = _inside(part)
        if id(part) in sizes:
            pending.pop()
        elif id(part) in path:
            sizes[id(part)] = _extent(part, inner, sizes, limit)
            path.discard(id(part))
            pending.pop()
        else:
            path.add(id(part))
            containers = [child for child in inner if isinstance(child, dict | list | tuple)]
            if any(id(child) in path for child in containers):
                raise EnvelopeError("the payload contains a value that contains itself")
            pending.extend(containers)


def _inside(part: Any) -> Collection[Any]:  # noqa: ANN401 - whatever was read
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, list | tuple) else (part,)


def _extent(part: object, inner: Collection[Any], sizes: Mapping[int, int], limit: int) -> int:
    extent = sum(map(len, part)) if isinstance(part, dict) else 0
    for child in inner:
        if isinstance(child, str | bytes):
            extent += 1 + len(child)
        elif isinstance(child, dict | list | tuple):
            extent += 1 + sizes[id(child)]
        elif child is None or isinstance(child, int | float | UUID | date | timedelta):
            extent += 1
        else:
            raise EnvelopeError("the payload contains a class where a value is expected")
    if extent > limit:
        raise EnvelopeError("the payload is larger written out than the limit allows")
    return extent


def _checked(fields: object, codec: Codec) -> Payload:
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise EnvelopeError("the payload must be an object of arq's fields t, f, a, k and et")
    function, enqueued_at_ms, tries = fields["f"], fields["et"], fields["t"]
    if not isinstance(function, str):
        raise EnvelopeError("f: the function's name must be text")
    if not _is_number(enqueued_at_ms, _LAST_MS):
        raise EnvelopeError("et: must be a time in Unix milliseconds")
    if tries is not None and not _is_number(tries, _MOST_TRIES):
        raise EnvelopeError("t: must be null or a count of tries")
    return Payload(function, _arguments(fields["a"], fields["k"]), enqueued_at_ms, codec)


def _is_number(value: object, largest: int) -> bool:
    return type(value) is int and 0 <= value <= largest


def _arguments(positional: object, named: object) -> dict[str, Any]:
    if not isinstance(positional, list | tuple) or not isinstance(named, dict):
        raise EnvelopeError("a, k: must be a list and an object")
    if not positional:
        return named
    if len(positional) != 1 or named or not isinstance(positional[0], dict):
        raise EnvelopeError("a, k: give keyword arguments only, or exactly one object")
    return positional[0]
