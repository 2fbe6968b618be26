"""Plans on a million rows: by index, and with few pages, whatever the size of the project."""

import inspect

import pytest

from benchmarks.history import store
from tests.plans.conftest import CONTENTS, Place, settle, working
from tests.plans.explained import LARGE_TABLES, Book
from tests.plans.workload import DISPATCH, IN_PROPORTION, MOVES, READER, READINGS, Site
from tests.support.databases import DatabaseUrls
from worker import readings
from worker.documents import ProjectReader
from worker.ledger import Dispatch, Ledger

# The book listens on connections that go back to their pool.
pytestmark = pytest.mark.filterwarnings("ignore:.*active log listener")

STEPS = {
    f"{name} {place}": step
    for group in (READINGS, READER, MOVES, DISPATCH)
    for name, steps in group.items()
    for place, step in enumerate(steps)
}


def test_every_reading_and_every_move_is_explained() -> None:
    """One that is added is explained here too."""
    functions = {
        name for name in readings.__all__ if inspect.iscoroutinefunction(getattr(readings, name))
    }
    assert functions == set(READINGS) | set(IN_PROPORTION)
    for kind, steps in ((Ledger, MOVES), (Dispatch, DISPATCH), (ProjectReader, READER)):
        assert {name for name in vars(kind) if not name.startswith("_")} == set(steps)


async def wrong_steps(site: Site, book: Book) -> list[str]:
    """Return what is wrong with the plans of all steps in one project."""
    wrong = []
    for name, (step, pages) in STEPS.items():
        await book.heard(lambda step=step: step(site))  # type: ignore[misc]
        wrong += [f"{name}: {sentence}" for sentence in book.judged()]
        if not 0 < book.pages <= pages:
            wrong.append(f"{name}: {book.pages} pages, at most {pages}\n{book.told()}")
    return wrong


async def own_executions(place: Place, site: Site) -> int:
    """Return how many executions a project has."""
    count = "SELECT count(*) AS n FROM agent_executions WHERE project_id = $1"
    [row] = await place.database.ask(count, site.project)
    return int(row["n"])


async def test_everything_uses_indexes_and_touches_few_pages(full: Place) -> None:
    """No large table is read from end to end, by any statement, also inside a move's function.

    The figures of a project read its own rows, and no other's: by index, a page or two for each.
    """
    wrong = []
    for project in (full.projects[0], full.projects[117]):
        book = Book()
        async with working(full, project, book) as site:
            wrong += await wrong_steps(site, book)
            own = await own_executions(full, site)
            for name, step in IN_PROPORTION.items():
                await book.heard(lambda step=step: step(site))  # type: ignore[misc]
                wrong += [f"{name}: {sentence}" for sentence in book.judged()]
                if book.pages > 300 + 1.5 * own:
                    wrong.append(f"{name}: {book.pages} pages for {own} executions")
    assert not wrong, "\n".join(wrong)


async def test_plans_made_on_an_empty_database_are_made_anew(database: DatabaseUrls) -> None:
    """A session that planned everything when there was nothing does well when there is much.

    As soon as the tables are analyzed, which autovacuum does within a minute; until then it takes
    an index of the project in place of a better one, and never reads a table from end to end.
    """
    place = await settle(database, 20)
    for table in LARGE_TABLES:
        await database.ask(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    book = Book()
    async with working(place, place.projects[0], book) as site:
        for _ in range(7):  # the sixth time a plan is made for all values
            for step, _ in STEPS.values():
                await step(site)
        async with database.oracle() as oracle:
            await store(
                oracle,
                30_000,
                user=place.user,
                projects=place.projects,
                contents=CONTENTS,
                at_once=False,
            )
        book.plans.clear()
        for step, _ in STEPS.values():
            await step(site)
        assert book.judged() == []
        for table in LARGE_TABLES:
            await database.ask(f"ANALYZE {table}")
        wrong = await wrong_steps(site, book)
    assert not wrong, "\n".join(wrong)


async def test_the_book_hears_what_it_listens_for(database: DatabaseUrls) -> None:
    """A scan of a large table is told, and so is a statement inside a function."""
    place, book = await settle(database, 2), Book()
    async with working(place, place.projects[1], book) as site:
        await site.enqueue()
        assert any("INSERT INTO agent_executions" in plan.statement for plan in book.plans)
        async with site.database.project(site.project) as session:
            connection = await session.connection()
            for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
                await connection.exec_driver_sql(f"SET LOCAL enable_{kind} = off")
            await connection.exec_driver_sql("SELECT count(*) FROM exports")
    assert [sentence.split()[0] for sentence in book.judged()] == ["exports"]
