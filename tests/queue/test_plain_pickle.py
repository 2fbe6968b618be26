"""The reader of plain pickle: equal to pickle on plain values, deaf to everything else."""

import os
import pickle
import subprocess
import time
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import EnvelopeError
from worker.queue.payload import decode_payload
from worker.queue.plain_pickle import PlainUnpickler

ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(min_size=1),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=ZONES),
    st.timedeltas(),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(st.text(), inner),
    ),
)


class Canary:
    """Writes a file when its pickle is loaded by a reader that runs code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Popen(Canary):
    """Starts a process when loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.Popen, (["touch", str(self.path)],)


class Eval(Canary):
    """Evaluates text when loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.path)!r}, 'w')",)


def job(value: object) -> dict[str, object]:
    """Return an arq job that carries `value`."""
    return {"t": None, "f": "run_agent", "a": (), "k": {"input": value}, "et": 1}


@given(value=VALUES, protocol=st.integers(2, 5))
def test_plain_values_come_back_as_pickle_itself_reads_them(value: Any, protocol: int) -> None:
    """Whatever a plain producer sends is read exactly, in every protocol that arq's Pythons use."""
    raw = pickle.dumps(value, protocol)
    if b"__builtin__" not in raw:  # how protocol 2 writes empty bytes
        assert PlainUnpickler(raw).load() == pickle.loads(raw)  # noqa: S301 - made here


@given(raw=st.binary(max_size=200))
def test_random_bytes_end_in_one_error_type(raw: bytes) -> None:
    """A payload is read or refused with EnvelopeError; nothing else leaves the reader."""
    with pytest.raises(EnvelopeError):
        decode_payload(b"\x80\x04" + raw, limit=1000)


@given(cut=st.integers(0, 200), value=VALUES)
def test_truncated_pickle_is_refused(cut: int, value: Any) -> None:
    """A pickle that is cut anywhere is refused."""
    raw = pickle.dumps(job(value))
    with pytest.raises(EnvelopeError):
        decode_payload(raw[: min(cut, len(raw) - 1)], limit=10**6)


@pytest.mark.parametrize("bait", [Canary, Popen, Eval])
@pytest.mark.parametrize("protocol", range(6))
def test_hostile_pickle_is_never_executed(
    tmp_path: Path, bait: type[Canary], protocol: int
) -> None:
    """No message can run code: the canary file does not appear."""
    canary = tmp_path / "canary"
    raw = pickle.dumps(job(bait(canary)), protocol)
    with pytest.raises(EnvelopeError):
        decode_payload(raw, limit=10**6)
    assert not canary.exists()
    # The bait itself works: this is what an ordinary reader would have done.
    if bait is Canary:
        pickle.loads(raw)  # noqa: S301 - the point
        assert canary.exists()


@pytest.mark.parametrize(
    "value",
    [
        Decimal(1),
        OrderedDict(a=1),
        {1, 2},
        frozenset("a"),
        1j,
        Path("x"),
        print,
        uuid.SafeUUID.safe,
    ],
    ids=repr,
)
def test_classes_other_than_uuid_and_datetime_are_refused(value: object) -> None:
    """`find_class` knows UUID and datetime; everything else is named as the rule it breaks."""
    with pytest.raises(EnvelopeError, match=r"UUID and datetime|plain values do not need"):
        decode_payload(pickle.dumps(job(value)), limit=10**6)


def protocol4(body: bytes) -> bytes:
    """Return a hand-made pickle."""
    return b"\x80\x04" + body + b"."


@pytest.mark.parametrize(
    "body",
    [
        b"Nr\xff\xff\xff\x7f",  # memo slot 2**31
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # bytes of 2**63
        b"\x8b\xff\xff\xff\x7f",  # an integer of 2 GB
        b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",  # a frame of 2**63
        b"]q\x00h\x00a",  # a list that contains itself
        b"}N]s",  # a list as key
        b"}K\x01Ns",  # a number as key
        b"e",  # appends to nothing
        b"(",  # a mark and no value
        b"NN",  # two values
        b"h\x05",  # a memo slot that is empty
        b"\x8c\x04uuid\x8c\x04UUID\x93",  # a class instead of a value
        b"\x8c\x04uuid\x8c\x04UUID\x93)R",  # calls the class
        b"\x8c\x04uuid\x8c\x04UUID\x93)\x81}\x8c\x03intNsb",  # a UUID of None
        b"\x8c\x04uuid\x8c\x04UUID\x93N}b",  # a state for None
        b"\x8c\x08datetime\x8c\x08datetime\x93\x8c\x04uuid\x85R",  # a datetime of text
        b"\x8c\x08datetime\x8c\x09timedelta\x93J\xff\xff\xff\x7f\x85R",  # overflow
        b"G\x7f\xf0\x00\x00\x00\x00\x00\x00",  # Infinity
        b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",  # NaN
    ],
    ids=lambda body: body.hex(),
)
def test_bombs_and_nonsense_are_refused_at_once(body: bytes) -> None:
    """A few bytes must not cost memory or time, and must not pass."""
    started = time.process_time()
    with pytest.raises(EnvelopeError):
        decode_payload(protocol4(body), limit=10**6)
    assert time.process_time() - started < 1


def test_shared_parts_cannot_grow_beyond_the_limit() -> None:
    """Thirty levels of a list twice in its parent are refused, not written out."""
    value: list[Any] = ["x"]
    for _ in range(30):
        value = [value, value]
    raw = pickle.dumps(job(value))
    assert len(raw) < 500
    with pytest.raises(EnvelopeError, match="written out"):
        decode_payload(raw, limit=10**6)


def test_a_uuid_and_an_aware_datetime_survive() -> None:
    """What a service naturally sends is read."""
    moment = datetime(2030, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    project = uuid.uuid4()
    payload = decode_payload(pickle.dumps(job([project, moment, date(2020, 1, 1)])), limit=10**6)
    assert payload.arguments["input"] == [project, moment, date(2020, 1, 1)]
    assert payload.codec == "pickle"


def test_a_deep_value_does_not_overflow_the_stack() -> None:
    """Depth is a matter of the rules for input, not of this process's stack."""
    body = b"]" * 100_000 + b"a" * 99_999
    loaded = PlainUnpickler(protocol4(body)).load()
    assert isinstance(loaded, list)
    assert len(loaded) == 1
