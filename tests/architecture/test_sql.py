"""No SQL is built from strings: a statement is a constant, and values are its parameters."""

import ast
from collections import defaultdict

import pytest

from tests.architecture.source import sources

RUNS_SQL = {
    "call",
    "copy_from_query",
    "cursor",
    "exec_driver_sql",
    "execute",
    "executemany",
    "fetch",
    "fetchmany",
    "fetchrow",
    "fetchval",
    "literal_column",
    "prepare",
    "scalar",
    "scalars",
    "stream",
    "text",
}

BUILDS = {"format", "format_map", "join", "replace", "safe_substitute", "substitute"}

FOLDERS = ("worker", "models", "migrations")

# file -> why its statements are put together from parts. None of them takes a value of a caller's.
ALLOWED = {
    "migrations/beside.py": "what it builds indexes of stands in migrations, not in a caller",
    "models/catalog_own.py": "the constant that says what is ours stands before each query",
    "models/comparison.py": "CREATE SCHEMA takes no parameter; the name is a constant",
    "worker/development.py": "CREATE DATABASE takes no parameter; the name is a constant",
}


def built(tree: ast.Module) -> list[int]:
    """Return the lines on which a statement that is put together from strings is run."""
    values: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values[target.id].append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id].append(node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            values[node.target.id].append(ast.BinOp(node.target, ast.Add(), node.value))
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and _called(node) in RUNS_SQL
        and any(_is_built(part, values) for part in _statement(node))
    ]


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _statement(call: ast.Call) -> list[ast.expr]:
    named = [key.value for key in call.keywords if key.arg in {"statement", "query", "text"}]
    return [*call.args[:1], *named]


def _is_built(value: ast.expr, values: dict[str, list[ast.expr]]) -> bool:
    match value:
        case ast.JoinedStr():
            return any(isinstance(part, ast.FormattedValue) for part in value.values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr=name)) if name in BUILDS:
            return True
        case ast.Name(id=name) if name in values:
            others = {key: each for key, each in values.items() if key != name}
            return any(_is_built(each, others) for each in values[name])
        case _:
            return any(_is_built(part, values) for part in _passed_on(value))


def _passed_on(value: ast.expr) -> list[ast.expr]:
    """Return what an expression may be, or makes a statement of: `dedent(...)`, `(...).strip()`."""
    match value:
        case ast.Call(func=ast.Attribute(value=inner), args=arguments):
            return [inner, *arguments]
        case ast.Call(args=arguments):
            return arguments
        case ast.IfExp():
            return [value.body, value.orelse]
        case ast.BoolOp(values=parts):
            return parts
        case ast.NamedExpr(value=inner):
            return [inner]
        case _:
            return []


def test_no_statement_is_built_from_strings() -> None:
    """Not with f-strings, %, +, format or join; exceptions are listed, each with its reason."""
    found = {
        source.name: built(source.tree) for source in sources("worker", "models", "migrations")
    }
    lines = {name: numbers for name, numbers in found.items() if numbers}

    assert {name: numbers for name, numbers in lines.items() if name not in ALLOWED} == {}


def test_no_exception_outlives_its_reason() -> None:
    """A file that needs its exception no longer is taken off the list."""
    used = {
        source.name for source in sources("worker", "models", "migrations") if built(source.tree)
    }

    assert set(ALLOWED) <= used
    assert all(ALLOWED.values())


@pytest.mark.parametrize(
    "code",
    [
        'await c.fetch(f"SELECT * FROM {table}")',
        'c.execute("SELECT * FROM " + table)',
        'c.execute("SELECT %s" % name)',
        'session.execute(text("SELECT {}".format(name)))',
        'q = f"DELETE FROM {t}"\nc.execute(q)',
        'q = "SELECT 1"\nq += " WHERE " + x\npool.call(q)',
        'c.fetchval("; ".join(parts))',
        'c.fetchrow(query=f"SELECT {x}")',
        'text("SELECT 1" if a else f"SELECT {x}")',
        'text(given or f"SELECT {x}")',
        'c.fetch(dedent(f"SELECT {x}"))',
        'c.fetch(f"SELECT {x}".strip())',
        'c.execute(text(f"SELECT {x}"))',
        'c.execute(q := f"SELECT {x}")',
        'c.fetch(Template("SELECT $x").substitute(x=x))',
        'op.execute(f"DROP TABLE {x}")',
    ],
)
def test_a_statement_built_from_strings_would_be_seen(code: str) -> None:
    """The check sees what it looks for, also one name away."""
    assert built(ast.parse(f"async def f():\n    {code.replace(chr(10), chr(10) + '    ')}"))


@pytest.mark.parametrize(
    "code",
    [
        'c.fetch("SELECT $1", value)',
        'c.execute(text("SELECT :a"), {"a": f"{x}"})',
        "pool.call(_ENQUEUE, *values)",
        'subprocess.call(["a", f"{x}"])',
    ],
)
def test_values_as_parameters_are_none_of_it(code: str) -> None:
    """A constant with parameters is how it is done."""
    assert built(ast.parse(code)) == []
