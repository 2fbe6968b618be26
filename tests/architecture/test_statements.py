"""Project data is touched in few places: the ledger, the readings, the documents, maintenance.

Whoever else wants some calls those. A statement is found by what it says (SQL in a string that
names a project-owned table, or calls a move), and by what it is made of (a model's class, a table
looked up by name).
"""

import ast
import re
from collections.abc import Iterator

import pytest

from models.declarations import project_owned
from models.roles import FUNCTION_GRANTS
from models.tables import Base
from tests.architecture.source import Source, imported, sources

PLACES = ("worker/ledger/", "worker/readings/", "worker/documents.py", "worker/maintenance")

# file -> why it touches project data all the same.
ALLOWED = {
    "worker/accounts.py": "a project begins with its own move, before anything can be bound to it",
}

MODELS = {
    mapper.class_.__name__
    for mapper in Base.registry.mappers
    if mapper.local_table.name in project_owned()  # type: ignore[attr-defined]
}

_TABLES = "|".join(project_owned())
_MOVES = "|".join(name for names in FUNCTION_GRANTS.values() for name in names)
_NAME = rf'(?:ONLY\s+)?(?:"?public"?\s*\.\s*)?"?(?:{_TABLES})\b'
_TOUCHES = re.compile(
    rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|USING|COPY|LOCK|TRUNCATE)\s+{_NAME}"
    rf"|,\s*{_NAME}(?:\s+(?:AS\s+)?\w+)?\s+(?:WHERE|JOIN)\b"
    rf"|\b(?:{_MOVES})\s*\(",
    re.IGNORECASE,
)
# What brings a table in by its name.
_LOOKS_UP = {"Table", "table", "get_table", "reflect_table"}


def touching(tree: ast.Module) -> list[int]:
    """Return the lines on which a module touches a project-owned table."""
    prose = {id(node) for node in _docstrings(tree)}
    found = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and id(node) not in prose and _touches(node)
    ]
    for name in imported(tree):
        package, _, last = name.rpartition(".")
        if last in MODELS or (last == "*" and package.startswith("models")):
            found.append(0)
    return found


def _touches(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return _TOUCHES.search(text) is not None
        case ast.JoinedStr():
            return _TOUCHES.search(_filled(node)) is not None
        case ast.Attribute(attr=name):
            return name in MODELS
        case ast.Subscript(value=ast.Attribute(attr="tables"), slice=ast.Constant(value=str(name))):
            return name in project_owned()
        case ast.Call(
            func=ast.Name(id=function) | ast.Attribute(attr=function),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return function in _LOOKS_UP and name in project_owned()
        case _:
            return False


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _filled(text: ast.JoinedStr) -> str:
    """Return an f-string with something in the place of its values."""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "_" for part in text.values
    )


def outside(source: Source) -> bool:
    """Whether a file is none of the places where project data may be touched."""
    return not source.name.startswith(PLACES)


def test_project_data_is_touched_in_few_places() -> None:
    """Exceptions are listed, each with its reason."""
    found = {
        source.name: lines
        for source in sources("worker", "models", "migrations")
        if outside(source) and (lines := touching(source.tree))
    }

    assert {name: lines for name, lines in found.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) <= set(found), "an exception that nothing needs any more"
    assert all(ALLOWED.values())


def test_the_places_are_where_statements_are() -> None:
    """The check sees what it allows: readings by their models, the ledger by its moves."""
    touched = {source.name for source in sources("worker") if touching(source.tree)}

    assert "worker/ledger/moves.py" in touched
    assert "worker/ledger/dispatch.py" in touched
    assert "worker/readings/status.py" in touched
    assert {"AgentExecution", "DocumentVersion", "ExecutionEvent", "Export", "Project"} == MODELS


@pytest.mark.parametrize(
    "code",
    [
        'pool.call("SELECT id FROM agent_executions WHERE project_id = $1", project)',
        'connection.fetch("select * from public.exports e")',
        "connection.execute('UPDATE \"projects\" SET name = $1')",
        'text("DELETE FROM ONLY document_versions")',
        'text("INSERT INTO execution_events VALUES (1)")',
        'text("TRUNCATE exports")',
        'text("COPY exports TO STDOUT")',
        'text("LOCK TABLE projects")',
        'text("SELECT 1 FROM users u, exports e WHERE e.id = u.id")',
        'text("WITH x AS (SELECT 1) SELECT * FROM x JOIN exports USING (id)")',
        'text("MERGE INTO exports t USING x ON true WHEN MATCHED THEN DELETE")',
        'text("SELECT " "1 " "FROM " "exports")',
        'text(f"SELECT {column} FROM exports")',
        'QUERY = """\n    SELECT *\n    FROM\n    exports\n"""',
        'pool.call("SELECT claim_executions($1)", project)',
        'pool.call("SELECT * FROM find_due($1, $2, $3, $4)")',
        "from models import AgentExecution",
        "from models.documents import Export as File",
        "from models import *",
        "from models.executions import *",
        "import models\nselect(models.Project)",
        'select(Base.metadata.tables["exports"])',
        'select(table("exports"))',
        'Table("exports", metadata, autoload_with=connection)',
    ],
)
def test_a_statement_elsewhere_would_be_seen(code: str) -> None:
    """The check sees what it looks for, in words and in models."""
    assert touching(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        'text("SELECT id FROM users WHERE email = :email")',
        'text("SELECT version_num FROM alembic_version")',
        'text("SELECT 1 FROM exports_archive")',
        '"""Return rows from exports."""',
        'def f():\n    """Look them up from projects."""',
        "ledger.claim_executions(project)",
        "from models import Event, State",
        'raise ValueError("projects: name exactly one")',
        'tables["exports"]',
        "exports = Exports()",
    ],
)
def test_what_touches_nothing_is_none_of_it(code: str) -> None:
    """Other tables, prose, calls of the ledger and names that only look alike."""
    assert touching(ast.parse(code)) == []
