"""Dead letters, for a person: look at what failed for good, and ask for it again."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from worker.database import Database
from worker.errors import NotFoundError
from worker.identifiers import parse_project
from worker.ledger import Ledger
from worker.ledger.records import Retried
from worker.queue.hints import HintToSend
from worker.readings import DeadLetter, list_failed
from worker.requests import FailedRequest, RetryRequest

Hint = Callable[[Sequence[HintToSend]], None]


class DeadLetters:
    """The failed executions of projects, reached through `Client.dead_letters`."""

    def __init__(self, database: Database, ledger: Ledger, hint: Hint) -> None:
        self._database = database
        self._ledger = ledger
        self._hint = hint

    async def list(
        self,
        project_id: UUID | str,
        *,
        agent_type: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[DeadLetter]:
        """Return executions of a project that failed for good, latest first.

        Args:
            project_id: the project.
            agent_type: only of this agent.
            since: only what failed at or after this aware datetime.
            limit: at most this many, 1 to 1,000.

        Raises:
            InputInvalidError: a field breaks a rule; the message names both.
        """
        project = parse_project(project_id)
        wanted = FailedRequest.checked({"agent_type": agent_type, "since": since, "limit": limit})
        async with self._database.project(project, snapshot=True) as session:
            return await list_failed(
                session,
                project,
                agent_type=wanted.agent_type,
                since=wanted.since,
                limit=wanted.limit,
            )

    async def retry(
        self,
        project_id: UUID | str,
        execution_ids: Sequence[UUID | str],
        *,
        requested_by: UUID | str | None = None,
    ) -> Sequence[Retried]:
        """Open a new execution for each of these failed or cancelled ones.

        The new one has the agent, input and correlation id of the old, which stays as it ended,
        and points at it. One that has a successor under way or completed is left alone, so that
        asking twice does not run it twice; it is missing from the answer.

        Args:
            project_id: the project.
            execution_ids: what to repeat, at most 1,000.
            requested_by: on whose behalf; whoever asked the first time where left out.

        Raises:
            InputInvalidError: a field breaks a rule; the message names both.
            NotFoundError: nothing of it can be repeated in this project.
        """
        project = parse_project(project_id)
        wanted = RetryRequest.checked(
            {"execution_ids": execution_ids, "requested_by": requested_by}
        )
        retried = await self._ledger.retry(project, wanted.execution_ids, wanted.requested_by)
        if not retried:
            raise NotFoundError(
                "execution_ids: the project has none of them as a failed or cancelled execution "
                "without a successor"
            )
        self._hint([HintToSend(project, again.execution_id) for again in retried])
        return retried
