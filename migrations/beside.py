"""Indexes of tables that others write to: built and dropped beside them, and nobody is locked out.

Each step is a transaction of its own, so a migration that is cut off leaves some of them behind.
Every step can therefore be taken again, from any of these states. Call these functions before
anything else in an `upgrade` or `downgrade`: what stands before them is committed with them, and
would be executed a second time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

from migrations.session import BESIDE, IN_THE_WAY


def build_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Build an index, or build one anew that is there in another form under the same name.

    There is an index of this name at every moment, if there was one.

    Args:
        name: the index, which ends here as it is defined.
        definition: what stands behind ON in `CREATE INDEX`: `jobs USING btree (a) WHERE b > 0`.
        unique: whether it is a unique index.
    """
    kind = "UNIQUE INDEX" if unique else "INDEX"
    following, former = f"{name}_next", f"{name}_former"
    with _beside():
        # What was left when this was cut off: an index half built, an old one not yet dropped.
        _execute(f"DROP INDEX CONCURRENTLY IF EXISTS {following}")
        _execute(f"DROP INDEX CONCURRENTLY IF EXISTS {former}")
        _execute(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {following} ON {definition}")
    _execute(f"ALTER INDEX IF EXISTS {name} RENAME TO {former}")
    _execute(f"ALTER INDEX {following} RENAME TO {name}")
    with _beside():
        _execute(f"DROP INDEX CONCURRENTLY IF EXISTS {former}")


def drop_index(name: str) -> None:
    """Drop an index, if it is there."""
    with _beside():
        _execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


@contextmanager
def _beside() -> Iterator[None]:
    with op.get_context().autocommit_block():
        for statement in BESIDE:
            _execute(statement)
        yield
        for statement in IN_THE_WAY:
            _execute(statement)


def _execute(sql: str) -> None:
    op.execute(sa.text(sql.replace(":", "\\:")))  # nothing in it is a parameter
