"""JSON that PostgreSQL's jsonb keeps exactly, or an error that says what cannot be kept.

Python's encoder accepts NaN, Infinity, lone surrogates and keys that are not text, and jsonb
refuses NUL characters: what would break later, or come back as something else, is refused at the
door. Integers of any size that Python prints are exact in jsonb and stay so on the way back. A
fraction keeps its value; a float without one, such as 1e16, comes back as the integer it is.
"""

import json
import math
import re
import sys
from typing import Any, NoReturn

# A NUL character as the encoder writes it: \u0000 behind an even number of backslashes.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_NO_JSON = re.compile(r"Object of type [\w.]{1,100} is not JSON serializable", re.ASCII)
_MAX_DEPTH = 200
_PLAIN = {int, float, bool, type(None)}
_TEXT = {str}


class UnstorableJsonError(ValueError):
    """The value has no exact JSON form in PostgreSQL; the text says which part of it."""


class TooLargeJsonError(UnstorableJsonError):
    """The value is larger than allowed."""


def encode(value: object, *, limit: int) -> str:
    """Return `value` as compact JSON text of at most `limit` bytes in UTF-8.

    What is too large is found out before it is written, in the time that `limit` allows for.

    Raises:
        TooLargeJsonError: larger than `limit`.
        UnstorableJsonError: not JSON, a key that is not text, NaN or Infinity, NUL, a lone
            surrogate, nested deeper than 200 levels, or an integer of more than 4,300 digits.
    """
    try:
        check_shape(value, limit=limit)
        text = _written(value)
    except UnstorableJsonError:
        raise
    except Exception as error:  # noqa: BLE001 - a strange object picks what it raises
        raise UnstorableJsonError(f"cannot be read ({type(error).__name__[:100]})") from None
    if "\\u0000" in text and _NUL.search(text):
        raise UnstorableJsonError("contains a NUL character (U+0000), which jsonb cannot store")
    check_size(text, limit=limit, form="as JSON")
    return text


def check_shape(value: object, *, limit: int) -> None:
    """Check at a glance what can be: size, keys and levels; costs what `limit` costs.

    Raises:
        TooLargeJsonError: larger than `limit`.
        UnstorableJsonError: a key that is not text, or nested deeper than 200 levels.
    """
    if _least_size(value, limit) > limit:
        raise TooLargeJsonError(f"is too large: at most {limit} bytes as JSON are allowed")


def decode(text: str | None) -> Any:  # noqa: ANN401 - JSON is any of six types
    """Return the value of JSON text that came from the database; None stays None.

    Raises:
        UnstorableJsonError: jsonb keeps it and Python does not, or `encode` would have refused it:
            an integer of more than 4,300 digits, a number too large for a float, too many levels.
    """
    try:
        value = None if text is None else json.loads(text, parse_float=_finite)
    except RecursionError:
        raise UnstorableJsonError(f"is nested deeper than {_MAX_DEPTH} levels") from None
    except UnstorableJsonError:
        raise
    except ValueError as error:
        raise UnstorableJsonError(_encoder_rule(str(error))) from None
    if text is not None and text.count("[") + text.count("{") > _MAX_DEPTH:
        _least_size(value, sys.maxsize)
    return value


def read(text: str) -> Any:  # noqa: ANN401
    """Return the value of JSON text from outside, as strictly as JSON can be read.

    Raises:
        UnstorableJsonError: the same key twice, NaN, Infinity, a number too large for a float.
        ValueError, RecursionError: not JSON, too many levels.
    """
    return json.loads(
        text, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite
    )


def check_text(text: str, *, limit: int) -> None:
    """Check text that goes into a text column: no NUL, no lone surrogate, at most `limit` bytes.

    Raises:
        TooLargeJsonError: larger than `limit`.
        UnstorableJsonError: the text breaks another of these rules.
    """
    if "\x00" in text:
        raise UnstorableJsonError("contains a NUL character (U+0000), which text cannot store")
    check_size(text, limit=limit, form="in UTF-8")


def check_size(text: str, *, limit: int, form: str) -> None:
    """Check that text can be written in UTF-8, in at most `limit` bytes."""
    try:
        # Only a glance at what has more characters than it may have bytes.
        size = len(text) if len(text) > limit else len(text.encode())
    except UnicodeEncodeError:
        raise UnstorableJsonError("contains a lone surrogate, which is not a character") from None
    if size > limit:
        raise TooLargeJsonError(f"is too large: at most {limit} bytes {form} are allowed")


def _written(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise UnstorableJsonError(f"is nested deeper than {_MAX_DEPTH} levels") from None
    except TypeError as error:
        known = _NO_JSON.fullmatch(str(error))
        kind = f": {known[0]}" if known else ""
        raise UnstorableJsonError(f"is not JSON{kind}") from None
    except ValueError as error:
        raise UnstorableJsonError(_encoder_rule(str(error))) from None


def _encoder_rule(message: str) -> str:
    if "Circular" in message:
        return "refers to itself"
    if "digits" in message:
        return "contains an integer of more than 4,300 digits"
    return "contains NaN or Infinity, which JSON cannot express"


def _least_size(value: object, limit: int) -> int:
    """Return how many bytes `value` has at least as JSON; stops soon above `limit`.

    Raises:
        UnstorableJsonError: a key that is not text, or too many levels.
    """
    size = 0
    level: list[Any] = [[value]]
    for _ in range(_MAX_DEPTH + 1):
        inner: list[Any] = []
        for parent in level:
            size += len(parent) + (_least_keys(parent) if isinstance(parent, dict) else 0)
            if size > limit:
                return size
            if parent:
                size += _sort_children(parent, inner)
        if not inner:
            return size
        level = inner
    _written(value)  # raises where it refers to itself
    raise UnstorableJsonError(f"is nested deeper than {_MAX_DEPTH} levels")


def _sort_children(parent: Any, inner: list[Any]) -> int:  # noqa: ANN401
    """Add the containers in `parent` to `inner`; return the least size of the texts in it."""
    children = parent.values() if isinstance(parent, dict) else parent
    kinds = set(map(type, children))
    if kinds <= _PLAIN:
        return 0
    if kinds == _TEXT:
        return sum(map(len, children)) + len(children)
    inner += [child for child in children if isinstance(child, dict | list | tuple)]
    texts = [child for child in children if isinstance(child, str)]
    return sum(map(len, texts)) + len(texts)


def _least_keys(parent: dict[Any, Any]) -> int:
    kinds = set(map(type, parent))
    if not all(issubclass(kind, str) for kind in kinds):
        raise UnstorableJsonError("has a key that is not text")
    return sum(map(len, parent)) + 3 * len(parent)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise UnstorableJsonError("has the same key twice in one object")
    return made


def _no_constant(_: str) -> NoReturn:
    raise UnstorableJsonError("contains NaN or Infinity, which JSON cannot express")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UnstorableJsonError("contains a number too large for a float")
    return number
