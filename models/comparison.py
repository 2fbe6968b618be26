"""What the models declare against what a database has, as changes that bring the one to the other.

The declared state is not deduced from text: it is built for real in a scratch schema, tables first,
then every declared statement, read back, and rolled back. So PostgreSQL brings both sides into the
same form, a declaration that cannot be executed is found out, and no live table is locked.

Alembic itself compares tables, columns, indexes and keys, though not all of their properties. What
its operations already settle is left to them; everything else becomes a `Change`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, MetaData, Table, text

from models.parts import DESCRIBED, RANK, Part, Parts, read_parts, search_only
from models.roles import FUNCTION_OWNERS
from models.spelling import same_in_other_words

LIVE = "public"
SCRATCH = "copydesk_declared"

# A function is replaced in place as long as what stands before this, its signature, is the same.
_SIGNATURE_END = "\n LANGUAGE "
# Kinds whose parts go from one state to another in a single step.
_IN_PLACE = frozenset({"option", "storage", "statistics", "function", "owner", "grant"})
# Kinds whose parts need no statement of their own when what they stand on goes.
_VANISHING = frozenset({"option", "storage", "statistics", "row security", "owner", "grant"})

Act = Literal["drop", "create", "replace", "describe"]
_OPPOSITE: dict[Act, Act] = {
    "drop": "create",
    "create": "drop",
    "replace": "replace",
    "describe": "describe",
}


@dataclass(frozen=True)
class Change:
    """One step from a part as it is (`old`) to the part as it has to be (`new`)."""

    old: Part | None
    new: Part | None
    act: Act

    @property
    def part(self) -> Part:
        """The part as it has to be, or as it was if it has to go."""
        part = self.new or self.old
        if part is None:
            raise ValueError("a change has at least one side")
        return part

    @property
    def statements(self) -> tuple[str, ...]:
        """The SQL of this step, one statement each."""
        if self.act == "describe":
            return ()
        if self.act == "drop":
            return self.old.unmade if self.old else ()
        if self.new is None:
            return ()
        if self.act == "create":
            return self.new.made
        if self.new.kind == "grant" and self.old is not None:
            return self.old.unmade + self.new.made
        # What PUBLIC may do with a function that stays is told by its grants.
        return self.new.made[:1] if self.new.kind == "function" else self.new.made

    @property
    def sentence(self) -> str:
        """What differs, in words; `new` is what the models declare."""
        name = self.part.name
        if self.old is None:
            return f"{name} is declared and missing"
        if self.new is None:
            return f"{name} exists and is not declared"
        if self.part.kind == "function":
            return f"{name} differs from its declaration"
        is_now, declared = ("; ".join(part.made) for part in (self.old, self.new))
        return f"{name} differs: it is `{is_now}`, declared is `{declared}`"

    def reverse(self) -> Change:
        """Return the step back."""
        return Change(self.new, self.old, _OPPOSITE[self.act])


@dataclass(frozen=True)
class Comparison:
    """What was read: the live schema, and the declared one before and after the statements."""

    live: Parts
    tables: Parts
    declared: Parts
    version_table: str


@dataclass(frozen=True)
class Plan:
    """The steps that frame Alembic's own operations, up and down."""

    before: Sequence[Change]
    after: Sequence[Change]
    created: frozenset[str]
    dropped: frozenset[str]

    def up(self) -> tuple[list[Change], list[Change]]:
        """Return the steps before and after Alembic's operations."""
        return _needed(self.before, self.dropped), _needed(self.after, self.dropped)

    def down(self) -> tuple[list[Change], list[Change]]:
        """Return the steps back, before and after Alembic's operations."""
        undo_after = [change.reverse() for change in reversed(self.after)]
        undo_before = [change.reverse() for change in reversed(self.before)]
        return _needed(undo_after, self.created), _needed(undo_before, self.created)


def compare(
    connection: Connection, metadata: MetaData, statements: Iterable[str], version_table: Table
) -> Comparison:
    """Build and read the declared state, read the live one, and leave nothing behind.

    The connection's role must be the owner, with CREATE on the database. `version_table` is
    Alembic's, which is in no metadata but has grants.

    Raises:
        sqlalchemy.exc.DBAPIError: a declared statement cannot be executed.
    """
    with connection.begin_nested() as savepoint:
        try:
            connection.execute(text(f"CREATE SCHEMA {SCRATCH}"))
            search_only(connection, SCRATCH)
            for role in sorted(set(FUNCTION_OWNERS.values())):
                connection.exec_driver_sql(f"GRANT USAGE, CREATE ON SCHEMA {SCRATCH} TO {role}")
            # Functions may name each other before they exist, and tables by the live schema.
            connection.execute(text("SET LOCAL check_function_bodies = off"))
            metadata.create_all(connection, checkfirst=False)
            version_table.create(connection, checkfirst=False)
            tables = read_parts(connection, SCRATCH)
            for statement in statements:
                connection.exec_driver_sql(statement)
            declared = read_parts(connection, SCRATCH)
            live = read_parts(connection, LIVE)
            same = same_in_other_words(connection, SCRATCH, declared, live)
        finally:
            savepoint.rollback()
    live |= {key: declared[key] for key in same}
    return Comparison(live, tables, declared, version_table.name)


def plan(comparison: Comparison, settled: frozenset[tuple[str, str]]) -> Plan:
    """Order the differences; `settled` are the keys of parts that Alembic's operations see to."""
    declared = comparison.declared
    live = _with_new_tables(comparison)
    created = _objects(declared) - _objects(comparison.live)
    created.discard(f"table {comparison.version_table}")  # Alembic makes it, and never drops it
    dropped = _objects(live) - _objects(declared)
    handed_over = _handed_over(live) | _handed_over(declared)
    remade = frozenset(
        new.name
        for key, new in declared.items()
        if new.kind == "function"
        and (old := live.get(key))
        and (not _same_signature(old, new) or (old.made != new.made and new.name in handed_over))
    )
    before: list[Change] = []
    after: list[Change] = []
    for key, part in {**live, **declared}.items():
        old, new = live.get(key), declared.get(key)
        again = part.on in remade and part.kind in {"function", "grant", "owner"}
        if key in settled or (old and new and old.made == new.made and not again):
            continue
        if part.kind == "owner" and (old is None or new is None or again):
            # Whoever makes a thing owns it, unless it is handed over.
            after += [Change(None, new, "create")] if new and part.on in handed_over else []
            continue
        if part.kind in DESCRIBED:
            after.append(Change(old, new, "describe"))
        elif old and new and part.kind in _IN_PLACE and not again:
            after.append(Change(old, new, "replace"))
        else:
            before += [Change(old, new, "drop")] if old else []
            after += [Change(old, new, "create")] if new else []
    return Plan(
        sorted(before, key=_place, reverse=True),
        sorted(after, key=_place),
        frozenset(created | remade),
        frozenset(dropped | remade),
    )


def _with_new_tables(comparison: Comparison) -> Parts:
    """Return the live parts, with the tables that are still to be made as Alembic will make them.

    Among them the version table of a database that was never migrated.
    """
    missing = _objects(comparison.tables) - _objects(comparison.live)
    made = {key: part for key, part in comparison.tables.items() if part.on in missing}
    return {**comparison.live, **made}


def _handed_over(parts: Parts) -> set[str]:
    """Return the functions that belong to another role: nobody else can change them in place."""
    owned = (part for part in parts.values() if part.kind == "owner")
    return {part.on for part in owned if part.on.startswith("function") and len(part.made) > 1}


def _objects(parts: Parts) -> set[str]:
    return {part.name for part in parts.values() if part.kind in {"table", "function"}}


def _same_signature(old: Part, new: Part) -> bool:
    signatures = (part.made[0].partition(_SIGNATURE_END)[0] for part in (old, new))
    return len(set(signatures)) == 1


def _place(change: Change) -> tuple[int, str, str]:
    return RANK[change.part.kind], change.part.on, change.part.name


def _needed(changes: Iterable[Change], gone: frozenset[str]) -> list[Change]:
    """Leave out what vanishes by itself with the tables and functions that are `gone`."""
    return [
        change
        for change in changes
        if not (
            change.act == "drop"
            and change.old is not None
            and change.old.kind in _VANISHING
            and change.old.on in gone
        )
    ]


def table_keys(table: str, parts: Parts) -> frozenset[tuple[str, str]]:
    """Return the keys of what a CREATE or DROP TABLE settles on its own."""
    kinds = DESCRIBED | {"constraint", "foreign key", "index"}
    return frozenset(
        key for key, part in parts.items() if part.on == f"table {table}" and part.kind in kinds
    )
