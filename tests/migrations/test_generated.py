"""What `db revision` writes: executable, complete and exact, and nobody is locked out by it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from alembic import command
from alembic.config import Config

from tests.migrations.schemas import REVISIONS, schema_of
from tests.support.databases import DatabaseUrls
from worker import migrate

AWKWARD = """SELECT ' :name \\:x \\ %s %% "quoted" '' $1'::text -- :done

        AS "Odd \""""


class Bench:
    """A database that was changed by hand, and a directory of its own for what repairs it."""

    def __init__(self, database: DatabaseUrls, directory: Path) -> None:
        self._url = database.admin
        self._directory = directory

    async def by_hand(self, *statements: str) -> None:
        """Change the schema as the owner."""
        async with migrate.owner_session(self._url) as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
            await connection.commit()

    def _here(self, config: Config) -> Config:
        places = os.pathsep.join((str(migrate.INI.parent / "versions"), str(self._directory)))
        config.set_main_option("version_locations", places)
        return config

    async def generate(self) -> str:
        """Write the migration "Back to order" and return what stands in it."""
        place = str(self._directory)
        await migrate._run(
            self._url,
            lambda config: command.revision(
                self._here(config), message="Back to order", autogenerate=True, version_path=place
            ),
        )
        number = f"{len(REVISIONS) + 1:04d}"
        return (self._directory / f"{number}_back_to_order.py").read_text("utf-8")

    async def up_and_down(self) -> None:
        """Migrate up to where nothing differs any more, and down to where everything does again."""
        drifted, told = await schema_of(self._url), await migrate.check(self._url)
        assert told
        await migrate._run(self._url, lambda config: command.upgrade(self._here(config), "head"))
        await migrate._run(self._url, lambda config: command.check(self._here(config)))
        await migrate._run(self._url, lambda config: command.downgrade(self._here(config), "-1"))
        assert await migrate.check(self._url) == told
        assert await schema_of(self._url) == drifted


def steps(migration: str, direction: str) -> list[str]:
    """Return the calls of one direction of a migration, without their arguments."""
    body = migration.partition(f"def {direction}")[2].partition("\ndef ")[0]
    return re.findall(r"^    ([a-z_.]+)\(", body, flags=re.MULTILINE)


async def test_it_repairs_and_its_undoing_restores(database: DatabaseUrls, tmp_path: Path) -> None:
    """Tables, columns, functions with anything in them, policies and grants, both ways."""
    bench = Bench(database, tmp_path)
    await bench.by_hand(
        f"CREATE FUNCTION awkward() RETURNS text LANGUAGE sql AS $a$ {AWKWARD} $a$",
        "GRANT EXECUTE ON FUNCTION awkward() TO copydesk_app",
        "DROP POLICY project_guard ON exports",
        "CREATE TABLE extra (id integer CHECK (id IN (1, 2)))",
        "ALTER TABLE extra ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everybody ON extra USING (true)",
        "GRANT SELECT ON extra TO copydesk_app",
        "ALTER TABLE users ADD phone text",
        "DROP INDEX idx_agent_output",
    )
    await bench.generate()
    await bench.up_and_down()


async def test_indexes_of_tables_that_stand_are_built_beside_them(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """Missing, added or changed: first of all, so that the migration can be run again after a cut.

    An index that is changed is built anew, and not dropped before.
    """
    bench = Bench(database, tmp_path)
    await bench.by_hand(
        "DROP INDEX idx_executions_correlation",
        "CREATE UNIQUE INDEX idx_users_name ON users (name) WHERE name <> ':x %s'",
        "DROP INDEX idx_exports_pending",
        "CREATE INDEX idx_exports_pending ON exports (created_at) WHERE status = 'failed'",
        "DROP POLICY project_guard ON exports",
    )
    written = await bench.generate()
    up, down = ["drop_index", "build_index", "build_index"], ["drop_index", *["build_index"] * 2]
    assert steps(written, "upgrade") == [*up, "op.execute"]
    assert steps(written, "downgrade") == [*down, "op.execute"]
    await bench.up_and_down()


async def test_an_index_on_columns_that_change_with_it_stays_in_the_transaction(
    database: DatabaseUrls, tmp_path: Path
) -> None:
    """It may need a column that is not there before; squawk asks to make two migrations of it."""
    bench = Bench(database, tmp_path)
    await bench.by_hand("ALTER TABLE exports DROP COLUMN expires_at")  # takes its index along
    written = await bench.generate()
    # The column's grants went with it.
    grants = ["op.execute"] * 2
    assert steps(written, "upgrade") == ["op.add_column", "op.create_index", *grants]
    await bench.up_and_down()
