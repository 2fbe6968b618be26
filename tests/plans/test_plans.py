"""Plans on a million rows: by index, and with few pages, whatever the size of the project."""

import inspect
from collections.abc import Mapping

import pytest

from benchmarks.history import store
from tests.plans.conftest import CONTENTS, Place, settle, working
from tests.plans.explained import LARGE_TABLES, Book
from tests.plans.workload import (
    AGENT,
    DISPATCH,
    IN_PROPORTION,
    MOVES,
    READER,
    READINGS,
    Site,
    Step,
)
from tests.support.databases import DatabaseUrls
from worker import readings
from worker.documents import ProjectReader
from worker.ledger import Dispatch, Ledger
from worker.requests import EnqueueRequest

# The book listens on connections that go back to their pool.
pytestmark = pytest.mark.filterwarnings("ignore:.*active log listener")


def named(*groups: Mapping[str, list[tuple[Step, int]]]) -> dict[str, tuple[Step, int]]:
    """Return every step of these groups by a name of its own."""
    return {
        f"{name} {place}": step
        for group in groups
        for name, steps in group.items()
        for place, step in enumerate(steps)
    }


STEPS = named(READINGS, READER, MOVES, DISPATCH)


def test_every_reading_and_every_move_is_explained() -> None:
    """One that is added is explained here too."""
    functions = {
        name for name in readings.__all__ if inspect.iscoroutinefunction(getattr(readings, name))
    }
    assert functions == set(READINGS) | set(IN_PROPORTION)
    for kind, steps in ((Ledger, MOVES), (Dispatch, DISPATCH), (ProjectReader, READER)):
        assert {name for name in vars(kind) if not name.startswith("_")} == set(steps)


async def wrong_steps(
    site: Site, book: Book, steps: Mapping[str, tuple[Step, int]] = STEPS
) -> list[str]:
    """Return what is wrong with the plans of steps in one project."""
    wrong = []
    for name, (step, pages) in steps.items():
        await book.heard(lambda step=step: step(site))  # type: ignore[misc]
        wrong += [f"{name}: {sentence}" for sentence in book.judged()]
        if not 0 < book.pages <= pages:
            wrong.append(f"{name}: {book.pages} pages, at most {pages}\n{book.told()}")
    return wrong


async def flood(site: Site, number: int) -> None:
    """Enqueue so many executions that are due at once."""
    fields = {"project_id": site.project, "agent_type": AGENT, "requested_by": site.user}
    for _ in range(number // 1000):
        await site.ledger.enqueue_many([EnqueueRequest.checked(fields) for _ in range(1000)])


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


async def test_plans_made_on_an_empty_database_are_good_on_a_full_one(
    database: DatabaseUrls,
) -> None:
    """A session that planned everything when there was nothing does well when there is much.

    Before any ANALYZE, which autovacuum does within a minute at best; only searches by JSON, which
    do not know how many rows they will find, walk the project until then.
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
        await flood(site, 20_000)
        searches = ("find_versions", "find_executions")
        others = {name: step for name, step in STEPS.items() if not name.startswith(searches)}
        wrong = await wrong_steps(site, book, others)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("analyzed", [False, True])
async def test_what_waits_in_a_project_costs_its_moves_nothing(
    database: DatabaseUrls, *, analyzed: bool
) -> None:
    """Claims, endings and sweeps touch as few pages in a flooded project as in any other."""
    place = await settle(database, 2)
    async with working(place, place.projects[0], Book()) as site:
        await flood(site, 20_000)
    for table in LARGE_TABLES:
        await database.ask(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        if analyzed:
            await database.ask(f"ANALYZE {table}")
    book = Book()
    async with working(place, place.projects[0], book) as site:
        wrong = await wrong_steps(site, book, named(MOVES, DISPATCH))
    assert not wrong, "\n".join(wrong)


async def test_the_book_hears_what_it_listens_for(database: DatabaseUrls) -> None:
    """A scan of a large table is told, and so is a statement inside a function."""
    place, book = await settle(database, 2), Book()
    async with working(place, place.projects[1], book) as site:
        await site.enqueue()
        assert any("INSERT INTO agent_executions" in plan.statement for plan in book.plans)
        async with site.database.project(site.project) as session:
            connection = await session.connection()
            for kind, way in {
                "index": "off",
                "indexonly": "off",
                "bitmap": "off",
                "seq": "on",
            }.items():
                await connection.exec_driver_sql(f"SET LOCAL enable_{kind}scan = {way}")
            await connection.exec_driver_sql("SELECT count(*) FROM exports")
    assert [sentence.split()[0] for sentence in book.judged()] == ["exports"]
