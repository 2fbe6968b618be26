"""The bridge to Alembic: its autogenerate completed by everything a table definition lacks.

`complete` runs after Alembic's own comparison, for `check` and for `revision` alike. It frames the
operations found so far with those for functions, triggers, row level security, policies and grants,
has indexes built beside their tables, gives the migration its number, and lists what no migration
can repair as comments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Dialect, MetaData, text

from migrations.indexes import IndexOp, standing_tables, taken_out, without_index_changes
from migrations.preparation import faults
from models.comparison import Change, Comparison, compare, plan, table_keys

_ID_LENGTH = 32  # of alembic_version.version_num

Hook = Callable[[MigrationContext, object, list[ops.MigrationScript]], None]


class StatementsOp(ops.MigrateOperation):
    """Statements that bring one part from what it is to what is declared; may be none."""

    def __init__(self, sentence: str, statements: Iterable[str]) -> None:
        self.sentence = sentence
        self.statements = tuple(statements)

    def to_diff_tuple(self) -> tuple[str, str]:
        """Return what `alembic check` shows."""
        return ("drift", self.sentence)


def render(context: AutogenContext, operation: StatementsOp) -> list[str]:
    """Return the lines of Python that execute the statements, or a comment when there are none."""
    if not operation.statements:
        return [f"# To be settled by hand: {operation.sentence}"]
    if any("\n" in statement for statement in operation.statements):
        context.imports.add("from textwrap import dedent")
    return [
        f"op.execute({_argument(statement, context.dialect)})" for statement in operation.statements
    ]


def render_index(context: AutogenContext, operation: IndexOp) -> list[str]:
    """Return the call that builds or drops an index beside its table."""
    verb = "drop_index" if operation.definition is None else "build_index"
    context.imports.add(f"from migrations.beside import {verb}")
    arguments = [_literal(each) for each in (operation.name, operation.definition) if each]
    if operation.unique and operation.definition:
        arguments.append("unique=True")
    return [f"{verb}({', '.join(arguments)})"]


def _argument(sql: str, dialect: Dialect) -> str:
    """Return the Python expression for a statement that is executed to the letter."""
    if str(text(sql).compile(dialect=dialect)) == sql:
        return _literal(sql)
    # Something in it looks like a bind parameter; DDL() takes it as it is, but for per cent signs.
    return f"sa.DDL({_literal(sql.replace('%', '%%'))})"


def _literal(sql: str) -> str:
    # Alembic strips the ends of lines.
    stripped = any(line != line.rstrip() for line in sql.split("\n"))
    if stripped or '"""' in sql or sql.endswith(("\\", '"')):
        return repr(sql)
    if "\n" not in sql:
        return f'r"""{sql}"""' if '"' in sql or "\\" in sql else f'"{sql}"'
    # Alembic indents every line of the file; dedent() takes that back.
    return f'dedent(r"""\n{sql}\n""")'


def completing(metadata: MetaData, statements: Callable[[], list[str]]) -> Hook:
    """Return the `process_revision_directives` hook for these declarations."""

    def complete(
        context: MigrationContext, _revision: object, scripts: list[ops.MigrationScript]
    ) -> None:
        connection = context.connection
        if connection is None:
            raise CommandError("differences are found on a live connection only")
        found = faults(connection)
        if any(fault.blocking for fault in found):
            raise CommandError("; ".join(fault.sentence for fault in found))
        version_table = context.impl.version_table_impl(
            version_table=context.version_table, version_table_schema=None, version_table_pk=True
        )
        comparison = compare(connection, metadata, statements(), version_table)
        script = scripts[0]
        upgrade, downgrade = script.upgrade_ops_list[-1], script.downgrade_ops_list[-1]
        standing = standing_tables(upgrade.ops, comparison)
        upgrade.ops = without_index_changes(upgrade.ops, standing)
        downgrade.ops = without_index_changes(downgrade.ops, standing)
        steps = plan(comparison, frozenset(_settled(upgrade.ops, comparison)))
        unrepaired = [StatementsOp(fault.sentence, ()) for fault in found]
        upgrade.ops = [*_framed(steps.up(), upgrade.ops, standing), *unrepaired]
        downgrade.ops = _framed(
            steps.down(), _without_indexes_of_dropped_tables(downgrade.ops), standing
        )
        if context.script is not None:
            script.rev_id = _numbered(context.script, script.message or "")

    return complete


def register() -> None:
    """Tell Alembic how to render our operations. May be called again."""
    renderers.dispatch_for(StatementsOp, replace=True)(render)
    renderers.dispatch_for(IndexOp, replace=True)(render_index)


def _framed(
    steps: tuple[list[Change], list[Change]],
    operations: list[ops.MigrateOperation],
    standing: frozenset[str],
) -> list[ops.MigrateOperation]:
    """Put our steps around Alembic's operations, and indexes of standing tables before all."""
    before, first = taken_out(steps[0], standing)
    after, last = taken_out(steps[1], standing)
    return [*before, *after, *_operations(first), *operations, *_operations(last)]


def _operations(changes: Iterable[Change]) -> list[ops.MigrateOperation]:
    return [StatementsOp(change.sentence, change.statements) for change in changes]


def _settled(
    operations: Iterable[ops.MigrateOperation], comparison: Comparison
) -> Iterable[tuple[str, str]]:
    """Yield the keys of the parts that Alembic's operations bring about."""
    for operation in operations:
        match operation:
            case ops.ModifyTableOps():
                yield from _settled(operation.ops, comparison)
            case ops.CreateTableOp() | ops.DropTableOp():
                for parts in (comparison.live, comparison.tables):
                    yield from table_keys(operation.table_name, parts)
            case ops.AddColumnOp():
                yield "column", f"column {operation.table_name}.{operation.column.name}"
            case ops.DropColumnOp() | ops.AlterColumnOp():
                yield "column", f"column {operation.table_name}.{operation.column_name}"
            case ops.CreateIndexOp() | ops.DropIndexOp():
                yield "index", f"index {operation.index_name}"
            case ops.AddConstraintOp() | ops.DropConstraintOp():
                for kind in ("constraint", "foreign key"):
                    table, name = _constraint(operation)
                    yield kind, f"constraint {name} on {table}"


def _constraint(operation: ops.AddConstraintOp | ops.DropConstraintOp) -> tuple[str, str | None]:
    found = operation.to_constraint()
    return found.table.name, str(found.name)


def _without_indexes_of_dropped_tables(
    operations: Iterable[ops.MigrateOperation],
) -> list[ops.MigrateOperation]:
    found = list(operations)
    dropped = {each.table_name for each in found if isinstance(each, ops.DropTableOp)}
    return [
        each
        for each in found
        if not (
            isinstance(each, ops.ModifyTableOps)
            and each.table_name in dropped
            and all(isinstance(inner, ops.DropIndexOp) for inner in each.ops)
        )
    ]


def _numbered(directory: ScriptDirectory, message: str) -> str:
    """Return the next id, as in 0002_add_reviews."""
    latest = max((int(each.revision[:4]) for each in directory.walk_revisions()), default=0)
    slug = "_".join(re.findall(r"[a-z0-9]+", message.lower()))
    return f"{latest + 1:04d}_{slug}"[:_ID_LENGTH].rstrip("_")
