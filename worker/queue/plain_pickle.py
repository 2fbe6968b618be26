"""Reads the plain part of pickle: text, numbers, lists, dicts, UUID, datetime. Nothing else exists.

A pickle is a program for a small stack machine. The standard machine can import and call anything,
fill a table of 2**31 slots because five bytes say so, and put keys that all hash alike into a dict.
This one has only the instructions that a producer's plain values need (protocols 2 to 5), keeps its
memo in a dict, admits only text as keys, and its `find_class` knows six names. What it does not
know it refuses, so there is nothing that a message could run.
"""

import math
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

_PROTOCOLS = range(2, 6)
_UUID_RANGE = 1 << 128
_STOP = pickle.STOP[0]


class PlainPickleError(ValueError):
    """The bytes are not a pickle of plain values; the text says why and repeats nothing of them."""


@dataclass(frozen=True, slots=True)
class _Maker:
    """What a class name in a message stands for: a function of ours that makes the value."""

    make: Callable[..., object]


def _no_call(*_: object) -> object:
    raise PlainPickleError("builds a UUID in a way that pickle does not")


def _latin(text: object, encoding: object) -> bytes:
    # How protocol 2 writes bytes, and with them the inside of a datetime.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise PlainPickleError("encodes text in a way that pickle does not")
    return text.encode("latin-1")


_UUID = _Maker(_no_call)
_MAKERS = {
    ("uuid", "UUID"): _UUID,
    ("datetime", "datetime"): _Maker(datetime),
    ("datetime", "date"): _Maker(date),
    ("datetime", "timedelta"): _Maker(timedelta),
    ("datetime", "timezone"): _Maker(timezone),
    ("_codecs", "encode"): _Maker(_latin),
}


def find_class(module: object, name: object) -> _Maker:
    """Return what makes values of this class.

    Raises:
        PlainPickleError: any class but UUID, datetime, date, timedelta and timezone.
    """
    maker = (
        _MAKERS.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    )
    if maker is None:
        raise PlainPickleError("names a class or function other than UUID and datetime")
    return maker


class PlainUnpickler:
    """One reading of one pickle; `load` may be called once."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, object] = {}

    def load(self) -> object:
        """Return the value; what it is made of is for the caller to check.

        Raises:
            PlainPickleError: an instruction, class or key that plain values do not need.
            Exception: malformed bytes end in whatever the first broken step raises.
        """
        if self._bytes(1) != pickle.PROTO or self._bytes(1)[0] not in _PROTOCOLS:
            raise PlainPickleError("is not a pickle of protocol 2 to 5")
        while (code := self._raw[self._at]) != _STOP:
            self._at += 1
            step = self._STEPS.get(code)
            if step is None:
                raise PlainPickleError("uses an instruction that plain values do not need")
            step(self)
        if self._at != len(self._raw) - 1 or self._below or len(self._stack) != 1:
            raise PlainPickleError("does not end where it says")
        return self._stack[0]

    def _bytes(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._raw):
            raise PlainPickleError("is cut short")
        return self._raw[start : self._at]

    def _number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._bytes(size), "little", signed=signed)

    def _line(self) -> str:
        end = self._raw.index(b"\n", self._at)
        line = self._bytes(end - self._at).decode()
        self._at += 1
        return line

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _keep(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _frame(self) -> None:
        # How long the frame is helps readers of streams; all of this one is here.
        self._bytes(8)

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _above_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _text(self, size_bytes: int) -> None:
        # As pickle writes text; what is no character is refused where the field can be named.
        self._push(self._bytes(self._number(size_bytes)).decode("utf-8", "surrogatepass"))

    def _octets(self, size_bytes: int) -> None:
        self._push(self._bytes(self._number(size_bytes)))

    def _long(self, size_bytes: int) -> None:
        self._push(self._number(self._number(size_bytes), signed=True))

    def _float(self) -> None:
        (value,) = struct.unpack(">d", self._bytes(8))
        if not math.isfinite(value):
            raise PlainPickleError("contains NaN or Infinity, which JSON cannot express")
        self._push(value)

    def _tuple(self, size: int) -> None:
        if len(self._stack) < size:
            raise PlainPickleError("takes more values than it made")
        items = tuple(self._stack[-size:])
        del self._stack[-size:]
        self._push(items)

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise PlainPickleError("appends to something that is not a list")
        target.extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        keys = items[::2]
        if type(target) is not dict or len(items) % 2:
            raise PlainPickleError("sets keys of something that is not a dict")
        if not all(type(key) is str for key in keys):
            raise PlainPickleError("has a key that is not text")
        target.update(zip(keys, items[1::2], strict=True))

    def _pair(self) -> list[Any]:
        value, key = self._stack.pop(), self._stack.pop()
        return [key, value]

    def _global(self) -> None:
        module = self._line()
        self._push(find_class(module, self._line()))

    def _stack_global(self) -> None:
        module, name = self._pair()
        self._push(find_class(module, name))

    def _reduce(self) -> None:
        maker, arguments = self._pair()
        if type(maker) is not _Maker or type(arguments) is not tuple:
            raise PlainPickleError("calls something that is not a class")
        self._push(maker.make(*arguments))

    def _new(self) -> None:
        maker, arguments = self._pair()
        if maker is not _UUID or arguments != ():
            raise PlainPickleError("makes an object of a class other than UUID")
        self._push(UUID(int=0))

    def _build(self) -> None:
        value, state = self._pair()
        number = state.get("int") if type(state) is dict else None
        if type(value) is not UUID or type(number) is not int or not 0 <= number < _UUID_RANGE:
            raise PlainPickleError("gives a state to something other than a UUID")
        # The memo refers to this very object already, so it is filled in, as pickle does it.
        object.__setattr__(value, "int", number)
        self._push(value)

    _STEPS: ClassVar[Mapping[int, Callable[[Any], None]]] = MappingProxyType(
        {
            pickle.FRAME[0]: _frame,
            pickle.MARK[0]: _mark,
            pickle.NONE[0]: lambda self: self._push(None),
            pickle.NEWTRUE[0]: lambda self: self._push(True),
            pickle.NEWFALSE[0]: lambda self: self._push(False),
            pickle.BININT[0]: lambda self: self._push(self._number(4, signed=True)),
            pickle.BININT1[0]: lambda self: self._push(self._number(1)),
            pickle.BININT2[0]: lambda self: self._push(self._number(2)),
            pickle.LONG1[0]: lambda self: self._long(1),
            pickle.LONG4[0]: lambda self: self._long(4),
            pickle.BINFLOAT[0]: _float,
            pickle.SHORT_BINUNICODE[0]: lambda self: self._text(1),
            pickle.BINUNICODE[0]: lambda self: self._text(4),
            pickle.BINUNICODE8[0]: lambda self: self._text(8),
            pickle.SHORT_BINBYTES[0]: lambda self: self._octets(1),
            pickle.BINBYTES[0]: lambda self: self._octets(4),
            pickle.BINBYTES8[0]: lambda self: self._octets(8),
            pickle.EMPTY_LIST[0]: lambda self: self._push([]),
            pickle.EMPTY_DICT[0]: lambda self: self._push({}),
            pickle.EMPTY_TUPLE[0]: lambda self: self._push(()),
            pickle.TUPLE1[0]: lambda self: self._tuple(1),
            pickle.TUPLE2[0]: lambda self: self._tuple(2),
            pickle.TUPLE3[0]: lambda self: self._tuple(3),
            pickle.TUPLE[0]: lambda self: self._push(tuple(self._above_mark())),
            pickle.APPEND[0]: lambda self: self._append([self._stack.pop()]),
            pickle.APPENDS[0]: lambda self: self._append(self._above_mark()),
            pickle.SETITEM[0]: lambda self: self._set(self._pair()),
            pickle.SETITEMS[0]: lambda self: self._set(self._above_mark()),
            pickle.MEMOIZE[0]: lambda self: self._keep(len(self._memo)),
            pickle.BINPUT[0]: lambda self: self._keep(self._number(1)),
            pickle.LONG_BINPUT[0]: lambda self: self._keep(self._number(4)),
            pickle.BINGET[0]: lambda self: self._push(self._memo[self._number(1)]),
            pickle.LONG_BINGET[0]: lambda self: self._push(self._memo[self._number(4)]),
            pickle.GLOBAL[0]: _global,
            pickle.STACK_GLOBAL[0]: _stack_global,
            pickle.REDUCE[0]: _reduce,
            pickle.NEWOBJ[0]: _new,
            pickle.BUILD[0]: _build,
        }
    )
