"""A project in memory, and what it takes to run one attempt of an agent against it."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from worker.agents.contract import (
    Agent,
    Document,
    Draft,
    Outcome,
    Run,
    RunContext,
    ThreadContext,
)

PROJECT = UUID("0198c0de-0000-7000-8000-000000000001")
EXECUTION = UUID("0198c0de-0000-7000-8000-000000000002")
CORRELATION = UUID("0198c0de-0000-7000-8000-000000000003")
USER = UUID("0198c0de-0000-7000-8000-000000000004")
EARLIER = UUID("0198c0de-0000-7000-8000-000000000005")
NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


class Quiet:
    """A log that keeps nothing."""

    def debug(self, event: str, **fields: object) -> None:
        """Keep nothing."""

    info = warning = error = debug


@dataclass
class Desk:
    """The documents of one project, and the progress that agents reported."""

    language: str = "en"
    documents: list[Document] = field(default_factory=list)
    reports: list[tuple[float | None, str]] = field(default_factory=list)

    def file(self, document_type: str, content: str, **more: Any) -> Document:
        """File the next version of a document."""
        version = 1 + sum(it.document_type == document_type for it in self.documents)
        filed = Document(
            document_type=document_type,
            version=version,
            content=content,
            metadata=more.get("metadata", {}),
            readability_score=None,
            grammar_score=None,
            created_at=more.get("created_at", NOON + timedelta(minutes=version)),
            execution_id=EARLIER,
        )
        self.documents.append(filed)
        return filed

    async def document(self, document_type: str, version: int | None) -> Document | None:
        """Read one version, as `Reader` does."""
        found = [it for it in self.documents if it.document_type == document_type]
        if version is not None:
            found = [it for it in found if it.version == version]
        return found[-1] if found else None

    async def latest_documents(self) -> list[Document]:
        """Read the latest versions, as `Reader` does."""
        latest = {it.document_type: it for it in self.documents}
        return [latest[name] for name in sorted(latest)]

    def context(self, agent: Agent) -> RunContext:
        """Return the context of a first attempt."""
        run = Run(
            project_id=PROJECT,
            execution_id=EXECUTION,
            attempt=1,
            correlation_id=CORRELATION,
            agent_type=agent.agent_type,
            language=self.language,
            requested_by=USER,
            deadline=datetime.now(UTC) + timedelta(seconds=agent.timeout),
        )
        return RunContext(run, Quiet(), lambda *report: self.reports.append(report), self)

    async def run(self, agent: Agent, **given: Any) -> Outcome:
        """Run one attempt the way the worker does: a plain function in a thread."""
        context = self.context(agent)
        checked = agent.input_model.model_validate(given)
        if agent.kind == "coroutine":
            answer = await agent.function(context, checked)
        else:
            loop = asyncio.get_running_loop()

            def wait(reading: Awaitable[Any]) -> Any:
                async def read() -> Any:
                    return await reading

                return asyncio.run_coroutine_threadsafe(read(), loop).result(timeout=10)

            blocking = ThreadContext(context, wait)
            answer = await asyncio.to_thread(agent.function, blocking, checked)
        assert isinstance(answer, Outcome)
        return answer


def only_draft(outcome: Outcome) -> Draft:
    """Return the one draft of an outcome."""
    (draft,) = outcome.drafts
    return draft
