"""The client: every public function, from each of two projects, with the other's ids.

The same answer has to come back as for ids and names that nobody has, whatever is asked for.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.conftest import make_settings
from tests.isolation.attack import Ground, Side, fingerprint, forget_what_was_made, masked
from worker.client import Client
from worker.errors import CopydeskError
from worker.settings import Settings

Call = Callable[[Client, Ground, Side], Awaitable[Any]]


async def worded(call: Awaitable[Any]) -> str:
    """Return what a call answers or raises."""
    try:
        return repr(await call)
    except CopydeskError as error:
        return f"{type(error).__name__} {error.code} {error.retryable} {error.message}"


@pytest.fixture
def settings(ground: Ground, redis_url: str) -> Settings:
    """Settings of the ground."""
    return make_settings(ground.database, redis_url, pool_size=1)


async def enqueue(client: Client, ground: Ground, given: Side) -> Any:
    """Enqueue under a correlation id and a key of the other side."""
    return await client.enqueue(
        ground.mine.project,
        "dormant",
        {"project_id": str(given.project)},
        requested_by=ground.user,
        correlation_id=given.correlation,
        idempotency_key=given.key,
    )


async def enqueue_many(client: Client, ground: Ground, given: Side) -> Any:
    """Do the same in a batch, where a request names a project of its own as well."""
    request = {"agent_type": "dormant", "requested_by": ground.user, "idempotency_key": given.key}
    requests = [request, {**request, "idempotency_key": None, "project_id": given.project}]
    return await client.enqueue_many(ground.mine.project, requests)


async def in_session(ground: Ground, work: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
    """Run work in a service's own transaction, and roll it back."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(ground.database.app)
    )
    try:
        async with AsyncSession(engine) as session:
            return await work(session)
    finally:
        await engine.dispose()


async def enqueue_in(client: Client, ground: Ground, given: Side) -> Any:
    """Enqueue in a transaction of one's own, under names of the other side, then for it."""

    async def work(session: AsyncSession) -> Any:
        options: dict[str, Any] = {"requested_by": ground.user, "idempotency_key": given.key}
        own = await client.enqueue_in(session, ground.mine.project, "dormant", **options)
        return own, await worded(client.enqueue_in(session, given.project, "dormant", **options))

    return await in_session(ground, work)


async def each(ids: Sequence[UUID], call: Callable[[UUID], Awaitable[Any]]) -> list[str]:
    """Return what a call answers or raises for each of some ids."""
    return [await worded(call(id_)) for id_ in ids]


ATTACKS: dict[str, Call] = {
    "enqueue": enqueue,
    "enqueue_many": enqueue_many,
    "enqueue_in": enqueue_in,
    "status": lambda client, ground, given: client.status(ground.mine.project, given.correlation),
    "execution": lambda client, ground, given: each(
        given.executions, lambda id_: client.execution(ground.mine.project, id_)
    ),
    "wait": lambda client, ground, given: client.wait(
        ground.mine.project, given.correlation, timeout=5
    ),
    "documents": lambda client, ground, _: client.documents(ground.mine.project),
    "document": lambda client, ground, given: client.document(
        ground.mine.project, given.document_type
    ),
    "statistics": lambda client, ground, _: client.statistics(ground.mine.project),
    "search_documents": lambda client, ground, given: client.search_documents(
        ground.mine.project, metadata={"text": given.canary}
    ),
    "search_executions": lambda client, ground, given: client.search_executions(
        ground.mine.project, output={"text": given.canary}
    ),
    "search_text": lambda client, ground, given: client.search_text(
        ground.mine.project, given.canary
    ),
    "cancel": lambda client, ground, given: each(
        given.executions, lambda id_: client.cancel(ground.mine.project, id_)
    ),
    "dead_letters.list": lambda client, ground, _: client.dead_letters.list(ground.mine.project),
    "dead_letters.retry": lambda client, ground, given: each(
        [*given.executions, ground.mine.failed],
        lambda id_: client.dead_letters.retry(ground.mine.project, [given.failed, id_]),
    ),
}

NAME_NO_PROJECT = {
    "connect": "opens nothing before it is used",
    "close": "closes",
    "create_user": "users belong to no project",
    "create_project": "makes a project that nobody has yet",
}


def surface(thing: object) -> Iterator[str]:
    """Yield the name of everything public that can be called on an object, and on its parts."""
    for name in dir(thing):
        value = getattr(thing, name)
        if name.startswith("_"):
            continue
        if inspect.isroutine(value):
            yield name
        elif type(value).__module__.startswith("worker."):
            yield from (f"{name}.{inner}" for inner in surface(value))


async def test_every_public_function_of_the_client_is_attacked(client: Client) -> None:
    """A function that is added, to the client or a part of it, is attacked here, or named."""
    assert set(surface(client)) == set(ATTACKS) | set(NAME_NO_PROJECT)


@pytest.fixture(params=["mine asks", "they ask"])
def sides(request: pytest.FixtureRequest, ground: Ground) -> Ground:
    """Give the ground from each side in turn."""
    return ground if request.param == "mine asks" else ground.turned()


@pytest.fixture
async def nothing_changed(sides: Ground) -> AsyncIterator[None]:
    """Compare the side that is asked about before and after."""
    before = await fingerprint(sides)
    yield
    assert await fingerprint(sides) == before


@pytest.mark.usefixtures("nothing_changed")
@pytest.mark.parametrize("name", ATTACKS)
async def test_a_call_with_the_others_ids_is_one_with_nobodys(
    name: str, sides: Ground, client: Client
) -> None:
    """Hopes for any difference: an answer, an error, a word, a row."""
    said = []
    for given in (sides.theirs, Side.nobodys()):
        said.append(await worded(ATTACKS[name](client, sides, given)))
        await forget_what_was_made(sides)
        assert sides.theirs.canary not in said[-1]
        said[-1] = masked(said[-1], given)
    assert said[0] == said[1]


async def test_an_answer_about_ones_own_work_is_another(sides: Ground, client: Client) -> None:
    """So the last test has something to miss: one's own ids are answered with what they are."""
    searches = ("search_documents", "search_executions")
    for name in ("status", "execution", "wait", "document", *searches):
        own = await worded(ATTACKS[name](client, sides, sides.mine))
        assert sides.mine.canary in own
        nobodys = await worded(ATTACKS[name](client, sides, Side.nobodys()))
        assert sides.mine.canary not in nobodys
    found = await client.search_text(sides.mine.project, sides.mine.canary)
    assert {each.document_type for each in found} == {"article", sides.mine.document_type}
