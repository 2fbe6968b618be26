"""The main job: a chain of agents on one document, recorded under one correlation id."""

from uuid import UUID, uuid4

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.workers import running_worker
from worker.client import Client
from worker.settings import Settings

ARTICLE = """# A plan

This are the plan for the garden. We has bought teh seeds in March. The soil is dry and the days
are getting longer every week now. It is an great time to start with the work.

    keep teh code as it is
"""


async def test_the_chain_files_a_version_for_every_step_that_writes_one(
    settings: Settings, client: Client, project: UUID, user: UUID, database: DatabaseUrls
) -> None:
    """Each step completes once, and each version names its writer."""
    correlation = uuid4()
    steps = [
        ("import_document", {"document_type": "plan", "content": ARTICLE}),
        ("review", {"document_type": "plan"}),
        ("revise", {"document_type": "plan"}),
        ("review", {"document_type": "plan"}),
        ("export", {}),
    ]
    async with running_worker(settings):
        for agent_type, payload in steps:
            await client.enqueue(
                project, agent_type, payload, requested_by=user, correlation_id=correlation
            )
            report = await client.wait(project, correlation, timeout=30)

    assert [e.agent_type for e in report.executions] == [agent for agent, _ in steps]
    assert {e.status for e in report.executions} == {State.COMPLETED}
    written = [(v.document_type, v.version) for e in report.executions for v in e.versions]
    assert written == [("plan", 1), ("plan_review", 1), ("plan", 2), ("plan_review", 2)]
    revised = await client.document(project, "plan")
    assert "the seeds" in (revised.content or "")
    assert "    keep teh code as it is" in (revised.content or "")
    assert revised.base_version == 1
    assert revised.created_by == user
    first_review, second_review = report.executions[1], report.executions[3]
    assert first_review.output is not None
    assert second_review.output is not None
    assert first_review.output["grammar_score"] > second_review.output["grammar_score"]
    [export] = report.executions[4].exports
    assert settings.exports_directory is not None
    assert (settings.exports_directory / str(export.file_path)).is_file()
    rows = await database.ask("SELECT count(*) AS n FROM document_versions")
    assert rows[0]["n"] == len(written)
