"""Two spellings of one definition: told apart from real differences by building both.

PostgreSQL writes an expression back not quite as it was given, and reading its own text in again
may change it once more: `status IN ('a', 'b')` on a varchar column is one case. A part that was
built from its source and one that was built from PostgreSQL's text are the same thing in different
words. So where words differ, both sides are built from their words in the scratch schema and read
again; they are the same when any of these readings agree.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from models.parts import Part, Parts, read_parts, search_only

# Kinds that hold expressions and can be taken away and made again by themselves.
_REBUILT = frozenset({"constraint", "index", "view", "trigger", "policy"})

Key = tuple[str, str]


def same_in_other_words(
    connection: Connection, schema: str, declared: Parts, live: Parts
) -> frozenset[Key]:
    """Return the keys of parts whose definitions differ in spelling only.

    `declared` are the parts of `schema`, a scratch schema: those that differ are built anew in it.
    """
    differing = frozenset(
        key
        for key, part in declared.items()
        if part.kind in _REBUILT and key in live and live[key].made != part.made
    )
    if not differing:
        return differing
    kinds = {kind for kind, _ in differing}
    declared_again = _rebuilt(connection, schema, (declared[key] for key in differing), kinds)
    live_again = _rebuilt(connection, schema, (live[key] for key in differing), kinds)
    return frozenset(
        key
        for key in differing
        if {declared[key].made, _made(declared_again, key)}
        & {live[key].made, _made(live_again, key)} - {None}
    )


def _rebuilt(
    connection: Connection, schema: str, parts: Iterable[Part], kinds: set[str]
) -> dict[Key, Part]:
    """Build the parts in place of those of the same name; what cannot be built is left out."""
    search_only(connection, schema)  # or the live parts would be the ones taken away
    failed = set()
    for part in parts:
        try:
            with connection.begin_nested():
                for statement in (*part.unmade, *part.made):
                    connection.exec_driver_sql(statement)
        except DBAPIError:
            failed.add(part.key)
    found = read_parts(connection, schema, kinds)
    return {key: part for key, part in found.items() if key not in failed}


def _made(parts: Parts, key: Key) -> tuple[str, ...] | None:
    return parts[key].made if key in parts else None
