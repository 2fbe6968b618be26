"""What may stand in a line for people and machines: no secret, no control character, no flood.

Nearly every value is a short word or an id, and passes at a glance; others are looked at closely.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice

_SECRET_KEYS = re.compile(
    r"password|passwd|secret|token|api_?key|authorization|credential", re.IGNORECASE
)
# From a literal on, and bounded: what an agent logs must not make the search slow.
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,256}):[^\s@]{1,1024}@")
_HIDDEN = "[redacted]"
# Control characters would move the cursor, forge lines or colour other people's terminals.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_ESCAPES.update({0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"})
_LINE_ESCAPES = {code: text for code, text in _ESCAPES.items() if code not in (0x09, 0x0A)}
_MULTILINE = frozenset({"exception", "stack"})
_LONGEST = 100_000
_LONGEST_URL = 2_000
_MOST_VALUES = 10_000
_DEEPEST = 20
_SHORT = 1_000
_KEYS_KNOWN = 1_000
_PLAIN = frozenset({bool, int, type(None)})


def escaped(text: str, *, lines: bool = False) -> str:
    """Return text without control characters; with `lines`, line ends and tabs stay."""
    return text.translate(_LINE_ESCAPES if lines else _ESCAPES)


class Redaction:
    """Hides values under secret-sounding keys, passwords in URLs and known secrets."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]
        # Key -> as it is written, None for one whose value is secret.
        self._keys: dict[str, str | None] = {}

    def clean(self, event: dict[str, object]) -> dict[str, object]:
        """Return the event with every secret hidden and every value on one line."""
        cleaned: dict[str, object] = {}
        left: Iterator[int] | None = None
        for key, value in event.items():
            written = self._keys.get(key) or self._known(key)
            if type(value) in _PLAIN or (self._keys.get(key) and self._is_plain(value)):
                cleaned[written] = value
            else:
                left = left or iter(range(_MOST_VALUES))
                cleaned[written] = self._clean(key, value, left, 0)
        return cleaned

    def _known(self, key: str) -> str:
        written = escaped(key)
        if len(self._keys) < _KEYS_KNOWN:
            self._keys[key] = None if _SECRET_KEYS.search(key) else written
        return written

    def _is_plain(self, text: object) -> bool:
        """Whether this is text that can stay as it is; what is not sure is looked at closely."""
        return (
            type(text) is str
            and len(text) <= _SHORT
            and text.isprintable()
            and "://" not in text
            and not any(secret in text for secret in self._secrets)
        )

    def _clean(self, key: str, value: object, left: Iterator[int], depth: int) -> object:
        # A value may hold itself, or more than anybody reads.
        if depth > _DEEPEST or next(left, None) is None:
            return "..."
        if value is None or isinstance(value, bool | int) or _is_finite(value):
            return value
        if _SECRET_KEYS.search(key):
            return _HIDDEN
        if isinstance(value, dict):
            pairs = ((str(name), inner) for name, inner in islice(value.items(), _MOST_VALUES))
            return {name: self._clean(name, inner, left, depth + 1) for name, inner in pairs}
        if isinstance(value, list | tuple):
            inside = islice(value, _MOST_VALUES)
            return [self._clean(key, inner, left, depth + 1) for inner in inside]
        return self._text(key, value)

    def _text(self, key: str, value: object) -> str:
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        # A little more than is kept: a password that the cut would part is seen whole.
        kept = _URL_PASSWORD.sub(rf"\1:{_HIDDEN}@", text[: _LONGEST + _LONGEST_URL])
        if len(text) > _LONGEST:
            kept = f"{kept[:_LONGEST]}... ({len(text)} characters)"
        return escaped(kept, lines=key in _MULTILINE)


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)
