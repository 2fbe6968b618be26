"""What the planner is told of projects, and that nothing takes it away."""

from models.declarations import estimates
from tests.plans.conftest import settle, working
from tests.plans.explained import Book
from tests.support.databases import DatabaseUrls
from tests.support.estimates import TOLD, told
from worker.database import Database
from worker.maintenance.statistics import forget_values


async def test_a_look_at_the_tables_leaves_what_the_planner_was_told(
    database: DatabaseUrls,
) -> None:
    """Neither in a table with rows, nor in one without, of which all else is forgotten."""
    place = await settle(database, 1)
    async with working(place, place.projects[0], Book()) as site:
        await site.enqueue()
    maintenance = Database(database.maintenance, size=1)
    assert await forget_values(maintenance) == []
    await maintenance.close()
    [row] = await database.ask("SELECT count(*) AS n FROM pg_stats WHERE tablename = 'exports'")
    assert row["n"] == 1
    assert await told(database) == TOLD


def test_restorations_tell_what_migrations_told() -> None:
    """A statement for each table that has projects."""
    assert sorted(estimates()) == TOLD
    for table, statement in estimates().items():
        assert f"'{table}'" in statement
        assert "-0.0002::real" in statement
