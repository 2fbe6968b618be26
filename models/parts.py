"""A schema as parts: a table, a column, a policy, what one role may do with one table.

Each part has a name that identifies it, the statements that make it (two schemas are compared by
these) and those that take it away. While a schema is read it is the search path, so that PostgreSQL
writes every name without its schema, and equal objects of two schemas read alike.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from sqlalchemy import Connection, text

from models.catalog import READERS

RANK = {kind: rank for rank, kind in enumerate(READERS)}
"""Parts of a lower rank are made first and taken away last."""

DESCRIBED = frozenset({"other", "table", "column"})
"""Kinds whose parts are only described: Alembic writes the statements that make those."""

_SEARCH = text("SELECT set_config('search_path', quote_ident(:schema), true)")


@dataclass(frozen=True)
class Part:
    """One comparable piece of a schema; `on` names the table or function it vanishes with."""

    kind: str
    name: str
    on: str
    made: tuple[str, ...]
    unmade: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the part within its schema."""
        return self.kind, self.name


Parts = dict[tuple[str, str], Part]


def search_only(connection: Connection, schema: str) -> None:
    """Make the schema the search path, up to the end of the transaction."""
    connection.execute(_SEARCH, {"schema": schema})


def read_parts(connection: Connection, schema: str, kinds: Container[str] = RANK) -> Parts:
    """Read the parts of a schema, which becomes the search path of the transaction."""
    search_only(connection, schema)
    parts = [
        Part(kind, row.name, row.on_object, tuple(row.made), tuple(row.unmade))
        for kind, query in READERS.items()
        if kind in kinds
        for row in connection.execute(query, {"schema": schema})
    ]
    return {part.key: part for part in parts}
