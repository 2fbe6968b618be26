"""JSON that jsonb keeps exactly: everything else is refused, with the reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.databases import DatabaseUrls
from worker.strict_json import UnstorableJsonError, check_text, decode, encode

LIMIT = 1_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
SIMPLE = st.none() | st.booleans() | st.integers() | TEXT
VALUES = st.recursive(
    SIMPLE, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


def deep(levels: int) -> Any:
    """Return lists within lists."""
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def ring() -> list[Any]:
    """Return a list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = {
    "nan": (float("nan"), "NaN or Infinity"),
    "infinity": ([float("-inf")], "NaN or Infinity"),
    "nul": ({"a": "b\x00"}, "NUL"),
    "nul_after_a_backslash": ("\\\x00", "NUL"),
    "nul_in_a_key": ({"\x00": 1}, "NUL"),
    "surrogate": (["\ud800"], "lone surrogate"),
    "surrogate_in_a_key": ({"\udfff": 1}, "lone surrogate"),
    "deep": (deep(201), "deeper than 200"),
    "deep_dicts": (json.loads('{"a":' * 250 + "1" + "}" * 250), "deeper than 200"),
    "endless": (deep(50_000), "deeper than 200"),
    "circular": (ring(), "refers to itself"),
    "digits": (10**5000, "4,300 digits"),
    "bytes": (b"bytes", "not JSON"),
    "set": ({1}, "not JSON"),
    "large": ("x" * LIMIT, "at most 1000000"),
    "large_in_bytes": ("\u20ac" * (LIMIT // 2), "at most 1000000"),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_jsonb_cannot_keep_is_refused_with_the_reason(value: object, reason: str) -> None:
    """At the door, where whoever made it can still be told."""
    with pytest.raises(UnstorableJsonError, match=reason):
        encode(value, limit=LIMIT)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "\\u0000 spelled out",
        "\\\\u0000",
        "\U0001f600",
        2**64,
        10**4000,
        deep(200),
        [[] for _ in range(500)],
        {"a": {"b": [1.5, True, None]}},
    ],
)
def test_what_jsonb_keeps_passes_and_comes_back(value: object) -> None:
    """Integers of any size that Python prints, every character, empty and odd ones too."""
    assert decode(encode(value, limit=LIMIT)) == value


@given(VALUES)
def test_encoding_and_decoding_change_nothing(value: object) -> None:
    """Whatever is accepted is the same afterwards."""
    assert decode(encode(value, limit=LIMIT)) == value


async def test_postgresql_keeps_what_was_accepted(database: DatabaseUrls) -> None:
    """The rule is jsonb's, so jsonb is asked."""
    values: list[object] = ["\\u0000", "\\\\u0000", 2**64, 10**4000, deep(200), "\U0001f600\x7f"]
    for value in values:
        [row] = await database.ask("SELECT $1::jsonb AS kept", encode(value, limit=LIMIT))
        assert decode(row["kept"]) == value


def test_absent_json_is_none() -> None:
    """SQL NULL and JSON null are both None to Python."""
    assert decode(None) is None
    assert decode("null") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\x00", "NUL"), ("\ud800", "surrogate"), ("\u20ac\u20ac", "at most 5 bytes")],
)
def test_text_for_a_text_column_obeys_the_same_rules(text: str, reason: str) -> None:
    """No NUL, no lone surrogate, and bytes are what is counted."""
    with pytest.raises(UnstorableJsonError, match=reason):
        check_text(text, limit=5)
    check_text("\u20aca", limit=5)
