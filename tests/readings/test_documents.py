"""Documents: the latest of each, any version by its number, and who wrote it."""

from uuid import uuid4

import pytest

from tests.ledger.desk import Desk, completion, draft
from worker.client import Client
from worker.documents import ProjectReader
from worker.errors import NotFoundError
from worker.ledger import Claim, MovePool


async def write(
    desk: Desk, text: str, document_type: str = "article", base: int | None = None
) -> Claim:
    """Let a new execution file a version; return its claim."""
    claim = await desk.running()
    written = draft(text, document_type, base_version=base, metadata='{"words": 2}')
    await desk.ledger.complete(desk.project, completion(claim, written))
    return claim


async def test_the_latest_version_of_each_document_is_listed(client: Client, desk: Desk) -> None:
    """By type, without content, with how many there are and who wrote the latest."""
    await write(desk, "first")
    await write(desk, "plan", "plan")
    latest = await write(desk, "second", base=1)

    article, plan = await client.documents(desk.project)

    assert (article.document_type, article.version, article.versions) == ("article", 2, 2)
    assert (plan.document_type, plan.version, plan.versions) == ("plan", 1, 1)
    assert (article.content, article.base_version) == (None, 1)
    assert (article.execution_id, article.attempt) == (latest.execution_id, 1)
    assert (article.agent_type, article.created_by) == ("review", desk.user)
    assert article.metadata == {"words": 2}


async def test_a_version_is_read_with_its_content(client: Client, desk: Desk) -> None:
    """The latest where no number is given; an older one stays what it was."""
    await write(desk, "first")
    await write(desk, "second")

    assert (await client.document(desk.project, "article")).content == "second"
    old = await client.document(desk.project, "article", version=1)
    assert (old.content, old.version, old.versions) == ("first", 1, 2)


async def test_what_is_not_there_is_not_found(client: Client, desk: Desk) -> None:
    """An unknown type, an unknown number, an unknown project: one and the same answer."""
    await write(desk, "first")

    for project, document_type, version in (
        (desk.project, "plan", None),
        (desk.project, "article", 2),
        (desk.project, "article", 2**31 - 1),
        (uuid4(), "article", None),
    ):
        with pytest.raises(NotFoundError, match="document_type"):
            await client.document(project, document_type, version)
    assert await client.documents(uuid4()) == []


async def test_a_project_without_documents_has_none(client: Client, desk: Desk) -> None:
    """An empty list, and no error."""
    assert await client.documents(desk.project) == []


async def test_metadata_that_is_null_reads_as_empty(client: Client, desk: Desk) -> None:
    """The column may be NULL in rows that other services wrote."""
    await write(desk, "first")
    await desk.database.ask("UPDATE document_versions SET metadata = NULL")

    assert (await client.document(desk.project, "article")).metadata == {}


async def test_an_agents_reader_reads_the_same(desk: Desk) -> None:
    """Latest, by number, all at once; None where there is none."""
    await write(desk, "first")
    claim = await write(desk, "second")
    await write(desk, "plan", "plan")
    async with MovePool(desk.database.app, size=1) as pool:
        reader = ProjectReader(pool, desk.project)
        latest, first = await reader.document("article", None), await reader.document("article", 1)
        nothing = await reader.document("article", 3)
        every = await reader.latest_documents()

    assert latest is not None
    assert (latest.content, latest.version, latest.execution_id) == (
        "second",
        2,
        claim.execution_id,
    )
    assert first is not None
    assert first.content == "first"
    assert nothing is None
    assert [(d.document_type, d.content) for d in every] == [
        ("article", "second"),
        ("plan", "plan"),
    ]
