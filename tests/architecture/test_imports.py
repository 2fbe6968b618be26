"""Imports go down the floors, and nothing that blocks the event loop comes in."""

import ast
import re
import subprocess
import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.architecture.source import ROOT, imported, sources

# Drivers that block; of some packages only the asynchronous part may be used.
BLOCKING = {
    "MySQLdb",
    "aioredis",
    "mysql",
    "pg8000",
    "psycopg",
    "psycopg2",
    "psycopg_pool",
    "pymysql",
    "requests",
    "sqlite3",
}
# Whatever module they are taken from: SQLAlchemy hands them on from several.
BLOCKING_NAMES = {"create_engine", "engine_from_config", "sessionmaker"}
ASYNCHRONOUS_REDIS = ("redis.asyncio", "redis.backoff", "redis.exceptions", "redis.typing")
# A URL that makes SQLAlchemy load such a driver.
BLOCKING_URL = re.compile(r"postgres(ql)?\+(psycopg|psycopg2|pg8000)\b")

# file -> why it may block.
ALLOWED = {
    "worker/embedded/redis.py": "starts a server, and asks whether it answers, before any loop runs"
}


def blocking(tree: ast.Module) -> list[str]:
    """Return what in a module brings in a blocking driver: imports, names and URLs."""
    return [
        *(name for name in imported(tree) if _blocks(name)),
        *(name for node in ast.walk(tree) if (name := _named(node))),
    ]


def _blocks(name: str) -> bool:
    package = name.split(".", maxsplit=1)[0]
    return (
        package in BLOCKING
        or (package == "sqlalchemy" and name.rpartition(".")[2] in BLOCKING_NAMES)
        or (package == "redis" and not name.startswith(ASYNCHRONOUS_REDIS))
    )


def _named(node: ast.AST) -> str:
    """Return what a node names without importing it by a statement."""
    match node:
        case ast.Attribute(attr=name) if name in BLOCKING_NAMES:
            return name
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ) if _blocks(name):
            return name
        case ast.Constant(value=str(text)) if BLOCKING_URL.match(text):
            return text
        case _:
            return ""


def test_imports_go_down_the_floors(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contracts of `.importlinter` hold; what breaks one is shown in full."""
    monkeypatch.chdir(ROOT)

    status = lint_imports(config_filename=".importlinter", no_cache=True)

    shown = capsys.readouterr().out
    assert status == EXIT_STATUS_SUCCESS, shown
    assert "0 broken" in shown


def test_nothing_synchronous_comes_in() -> None:
    """The modules of worker, models and migrations bring in no driver that blocks."""
    found = {
        source.name: blocking(source.tree) for source in sources("worker", "models", "migrations")
    }

    assert {name for name, names in found.items() if names} == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "import redis",
        "from redis import Redis",
        "import psycopg2.extras",
        "from sqlalchemy import create_engine",
        "from sqlalchemy.engine import create_engine",
        "from sqlalchemy.orm import sessionmaker",
        "import sqlalchemy as sa\nsa.create_engine(url)",
        "from sqlalchemy import orm\norm.sessionmaker()",
        "import psycopg",
        "import pg8000.native",
        "import importlib\nimportlib.import_module('psycopg2')",
        'URL = "postgresql+psycopg2://"',
        'f"postgresql+psycopg://{host}"',
        "def f():\n    import sqlite3",
    ],
)
def test_a_blocking_import_would_be_seen(line: str) -> None:
    """The check sees what it looks for, wherever it stands."""
    assert blocking(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "from redis.asyncio import Redis",
        "import redis.asyncio",
        "import arq, sqlalchemy",
        "from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine",
        'URL = "postgresql+asyncpg://"',
        'HELP = "write postgresql://user:password@host:5432/name"',
    ],
)
def test_an_asynchronous_import_is_none_of_it(line: str) -> None:
    """The asynchronous half of a package is welcome."""
    assert blocking(ast.parse(line)) == []


def test_the_command_line_starts_without_sqlalchemy() -> None:
    """A worker process never needs it, and pays 20 MB and half a second where it comes in."""
    loaded = "import sys, worker.cli.app; print({'sqlalchemy', 'alembic'} & set(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert told.stdout == "set()\n"
