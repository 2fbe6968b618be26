"""Searches: by what JSON contains, and by words; latest or most similar first."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.ledger.desk import Desk, completion, draft
from tests.support.databases import DatabaseUrls
from worker.client import Client
from worker.errors import InputInvalidError, ProjectRequiredError, SearchUnavailableError


@pytest.fixture
async def filed(desk: Desk) -> Desk:
    """A project with versions and outputs that say which they are."""
    for number in range(6):
        metadata = {"number": number, "tags": ["all", f"n{number}"], "of": {"kind": number % 2}}
        text = "The quick brown fox jumps over the lazy dog" if number == 5 else "Nothing here"
        version = draft(text, "article" if number % 2 else "plan", metadata=json.dumps(metadata))
        claim = await desk.running()
        done = completion(claim, version, output=json.dumps({"number": number, "even": True}))
        await desk.ledger.complete(desk.project, done)
    return desk


async def numbers(
    client: Client, desk: Desk, metadata: dict[str, Any], limit: int = 9
) -> list[int]:
    """Return the numbers of the versions that were found."""
    found = await client.search_documents(desk.project, metadata=metadata, limit=limit)
    return [each.metadata["number"] for each in found]


async def test_documents_are_found_by_what_their_metadata_contain(
    client: Client, filed: Desk
) -> None:
    """A value at the top, inside an object, in a list; the latest first, up to the limit."""
    assert await numbers(client, filed, {"number": 3}) == [3]
    assert await numbers(client, filed, {"of": {"kind": 0}}) == [4, 2, 0]
    assert await numbers(client, filed, {"tags": ["n2", "all"]}) == [2]
    assert await numbers(client, filed, {"tags": ["all"]}, limit=2) == [5, 4]
    assert await numbers(client, filed, {"number": 3, "of": {"kind": 0}}) == []
    assert await numbers(client, filed, {"number": "3"}) == []


async def test_executions_are_found_by_what_their_output_contains(
    client: Client, filed: Desk
) -> None:
    """The latest first, with their output; what has none is not found."""
    await filed.enqueue()
    found = await client.search_executions(filed.project, output={"even": True}, limit=2)
    assert [each.output["number"] for each in found] == [5, 4]
    assert found[0].agent_type == "review"
    assert await client.search_executions(filed.project, output={"number": 99}) == []


async def test_a_large_project_is_answered_by_the_index_in_the_same_way(
    client: Client, filed: Desk
) -> None:
    """Behind the part that is walked, and where fewer are found in it than were asked for."""
    await filed.database.ask(
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
        "status, completed_at, output_data) SELECT $1, 'review', uuidv7(), $2, 'completed', now(), "
        "jsonb_build_object('number', n, 'odd', n % 2 = 1) FROM generate_series(100, 2600) n",
        filed.project,
        filed.user,
    )

    async def found(limit: int, **output: Any) -> list[int]:
        rows = await client.search_executions(filed.project, output=output, limit=limit)
        return [each.output["number"] for each in rows]

    assert await found(2, odd=True) == [2599, 2597]
    assert await found(9, number=3) == [3]
    assert await found(9, even=True) == [5, 4, 3, 2, 1, 0]
    assert await found(1000, odd=True) == list(range(2599, 599, -2))


async def test_text_is_found_by_words_like_these_in_latest_versions(
    client: Client, filed: Desk
) -> None:
    """Misspelt ones too, the most similar first; what an older version said is not found."""
    [found] = await client.search_text(filed.project, "quikc brown fox")
    assert (found.document_type, found.version) == ("article", 3)
    assert 0.5 <= found.similarity < 1
    assert [f.similarity for f in await client.search_text(filed.project, "lazy dog")] == [1.0]
    claim = await filed.running()
    await filed.ledger.complete(
        filed.project, completion(claim, draft("Nothing any more", "article"))
    )
    assert await client.search_text(filed.project, "lazy dog") == []


async def test_without_pg_trgm_text_search_says_what_to_do(
    client: Client, database: DatabaseUrls, project: UUID
) -> None:
    """The error has a code of its own, and names the statement that helps."""
    await database.ask("DROP EXTENSION pg_trgm")
    with pytest.raises(SearchUnavailableError, match="CREATE EXTENSION pg_trgm"):
        await client.search_text(project, "anything")


@pytest.mark.parametrize(
    ("call", "given", "field"),
    [
        ("search_documents", {"metadata": {}}, "metadata"),
        ("search_documents", {"metadata": {"a": {"b": []}}}, "metadata"),
        ("search_documents", {"metadata": []}, "metadata"),
        ("search_documents", {"metadata": "{}"}, "metadata"),
        ("search_documents", {"metadata": {"a": float("nan")}}, "metadata"),
        ("search_documents", {"metadata": {"a": "\x00"}}, "metadata"),
        ("search_documents", {"metadata": {"a": "\ud800"}}, "metadata"),
        ("search_documents", {"metadata": {"a": "x" * 10_001}}, "metadata"),
        ("search_executions", {"output": {"a": {1, 2}}}, "output"),
        ("search_executions", {"output": {"a": 1}, "limit": 0}, "limit"),
        ("search_executions", {"output": {"a": 1}, "limit": 1001}, "limit"),
        ("search_executions", {"output": {"a": 1}, "limit": "5"}, "limit"),
        ("search_executions", {"output": {"a": 1}, "limit": True}, "limit"),
        ("search_text", {"words": ""}, "words"),
        ("search_text", {"words": " \n"}, "words"),
        ("search_text", {"words": "a\x00b"}, "words"),
        ("search_text", {"words": "\ud800"}, "words"),
        ("search_text", {"words": "x" * 1001}, "words"),
        ("search_text", {"words": None}, "words"),
        ("search_text", {"words": "x", "limit": -1}, "limit"),
    ],
)
async def test_what_cannot_be_searched_for_is_refused_at_the_door(
    client: Client, project: UUID, call: str, given: dict[str, Any], field: str
) -> None:
    """One line names the field and the rule; the project comes first."""
    with pytest.raises(InputInvalidError) as refused:
        await getattr(client, call)(project, **given)
    assert refused.value.message.startswith(f"{field}: ")
    assert "\n" not in refused.value.message
    with pytest.raises(ProjectRequiredError):
        await getattr(client, call)(None, **given)
