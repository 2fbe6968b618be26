"""No module holds data: what a module binds is a constant, a type or a function."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import sources

CONSTANT = re.compile(r"_{0,2}[A-Z][A-Za-z0-9_]*|__\w+__")
MAKES_STATE = {
    "Condition",
    "ContextVar",
    "Event",
    "Lock",
    "Queue",
    "Semaphore",
    "defaultdict",
    "deque",
    "dict",
    "list",
    "set",
    "WeakKeyDictionary",
    "WeakSet",
    "WeakValueDictionary",
}
CHANGES = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popleft",
    "popitem",
    "remove",
    "setdefault",
    "update",
}


def state(tree: ast.Module) -> list[str]:
    """Return what a module holds, or changes, that outlives a call."""
    bound = dict(_bindings(tree))
    faults = [name for name in bound if not CONSTANT.fullmatch(name)]
    faults += [name for name, value in bound.items() if _is_store(value)]
    # A table may be built up while its module is imported; after that nobody touches it.
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in (inner for function in functions for inner in ast.walk(function)):
        match node:
            case ast.Global(names=names):
                faults += names
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=change)):
                faults += [name] if name in bound and change in CHANGES else []
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                faults += [name] if name in bound else []
    return faults


def _bindings(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def _is_store(value: ast.expr) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in MAKES_STATE and not (value.args and name in {"dict", "list", "set"})
        case _:
            return False


def test_no_module_holds_data() -> None:
    """Dependencies are arguments; nothing is shared behind a caller's back."""
    found = {source.name: state(source.tree) for source in sources("worker", "models")}

    assert {name: held for name, held in found.items() if held} == {}


@pytest.mark.parametrize(
    "code",
    [
        "_cache = {}",
        "_CACHE: dict[str, int] = {}",
        "SEEN = set()",
        "client = Client()",
        "def f():\n    global count\n    count += 1",
        "NAMES = ['a']\ndef f():\n    NAMES.append('b')",
        "NAMES = {'a': 1}\ndef f():\n    NAMES['b'] = 2",
        "LOCK = asyncio.Lock()",
    ],
)
def test_state_would_be_seen(code: str) -> None:
    """The check sees what it looks for."""
    assert state(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "_NAMES = {'a', 'b'}",
        "Alias = dict[str, int]",
        "__all__ = ['f']",
        "_P = re.compile('x')",
        "TABLE = {0: 'a'}\nTABLE.update({1: 'b'})",
    ],
)
def test_constants_are_none_of_it(code: str) -> None:
    """A table of constants is how it is done."""
    assert state(ast.parse(code)) == []
