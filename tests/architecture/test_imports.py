"""Imports go down the floors, and nothing that blocks the event loop comes in."""

import ast

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.architecture.source import ROOT, imported, sources

# Drivers that block, and whole packages of which only the asynchronous part may be used.
BLOCKING = {
    "MySQLdb",
    "aioredis",
    "mysql",
    "pg8000",
    "psycopg",
    "psycopg2",
    "pymysql",
    "requests",
    "sqlalchemy.create_engine",
    "sqlalchemy.orm.sessionmaker",
    "sqlite3",
}
ASYNCHRONOUS_REDIS = ("redis.asyncio", "redis.backoff", "redis.exceptions", "redis.typing")

# file -> why it may block.
ALLOWED = {
    "worker/embedded/redis.py": "starts a server, and asks whether it answers, before any loop runs"
}


def blocking(tree: ast.Module) -> list[str]:
    """Return the imports of a module that bring in a blocking driver."""
    return [
        name
        for name in imported(tree)
        if name.split(".")[0] in BLOCKING
        or name in BLOCKING
        or (name.split(".")[0] == "redis" and not name.startswith(ASYNCHRONOUS_REDIS))
    ]


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
    """The worker's and the models' modules import no driver that blocks."""
    found = {source.name: blocking(source.tree) for source in sources("worker", "models")}

    assert {name for name, names in found.items() if names} == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "import redis",
        "from redis import Redis",
        "import psycopg2.extras",
        "from sqlalchemy import create_engine",
        "def f():\n    import sqlite3",
    ],
)
def test_a_blocking_import_would_be_seen(line: str) -> None:
    """The check sees what it looks for, wherever it stands."""
    assert blocking(ast.parse(line))


@pytest.mark.parametrize(
    "line", ["from redis.asyncio import Redis", "import redis.asyncio", "import arq, sqlalchemy"]
)
def test_an_asynchronous_import_is_none_of_it(line: str) -> None:
    """The asynchronous half of a package is welcome."""
    assert blocking(ast.parse(line)) == []
