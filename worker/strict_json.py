"""JSON that PostgreSQL's jsonb keeps exactly, or an error that says what cannot be kept.

Python's encoder accepts NaN, Infinity and lone surrogates, and jsonb refuses NUL characters: what
would break later, or come back as something else, is refused at the door. Integers of any size
that Python prints are exact in jsonb and stay so on the way back.
"""

import json
import re
from typing import Any

# A NUL character as the encoder writes it: \u0000 behind an even number of backslashes.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_MAX_DEPTH = 200


class UnstorableJsonError(ValueError):
    """The value has no exact JSON form in PostgreSQL; the text says which part of it."""


def encode(value: object, *, limit: int) -> str:
    """Return `value` as compact JSON text of at most `limit` bytes in UTF-8.

    Raises:
        UnstorableJsonError: not JSON, NaN or Infinity, NUL, a lone surrogate, nested deeper than
            200 levels, an integer of more than 4,300 digits, or larger than `limit`.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise UnstorableJsonError(f"is nested deeper than {_MAX_DEPTH} levels") from None
    except TypeError as error:
        raise UnstorableJsonError(f"is not JSON: {error}") from None
    except ValueError as error:
        raise UnstorableJsonError(_encoder_rule(str(error))) from None
    if _NUL.search(text):
        raise UnstorableJsonError("contains a NUL character (U+0000), which jsonb cannot store")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UnstorableJsonError("contains a lone surrogate, which is not a character") from None
    if size > limit:
        raise UnstorableJsonError(f"is {size} bytes as JSON; at most {limit} are allowed")
    if text.count("[") + text.count("{") > _MAX_DEPTH and _deeper_than(value, _MAX_DEPTH):
        raise UnstorableJsonError(f"is nested deeper than {_MAX_DEPTH} levels")
    return text


def decode(text: str | None) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Return the value of JSON text that came from the database; None stays None."""
    return None if text is None else json.loads(text)


def check_text(text: str, *, limit: int) -> None:
    """Check text that goes into a text column: no NUL, no lone surrogate, at most `limit` bytes.

    Raises:
        UnstorableJsonError: the text breaks one of these rules.
    """
    if "\x00" in text:
        raise UnstorableJsonError("contains a NUL character (U+0000), which text cannot store")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UnstorableJsonError("contains a lone surrogate, which is not a character") from None
    if size > limit:
        raise UnstorableJsonError(f"is {size} bytes in UTF-8; at most {limit} are allowed")


def _encoder_rule(message: str) -> str:
    if "Circular" in message:
        return "refers to itself"
    if "digits" in message:
        return "contains an integer of more than 4,300 digits"
    return "contains NaN or Infinity, which JSON cannot express"


def _deeper_than(value: object, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list | tuple)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True
