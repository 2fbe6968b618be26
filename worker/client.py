"""The client: how other services enqueue executions, follow them, and read what they wrote.

    async with Client.connect(database_url=..., redis_url=...) as client:
        execution = await client.enqueue(
            project_id, "review", {"document_type": "article"}, requested_by=user_id
        )
        report = await client.wait(project_id, execution.correlation_id, timeout=60)

An enqueue has been accepted when it returns: the row is committed. Redis is told afterwards, and
where it cannot be told a worker's sweep finds the row.
"""

from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from worker.accounts import create_project, ensure_user
from worker.database import Database
from worker.dead_letters import DeadLetters
from worker.errors import InputInvalidError, NotFoundError
from worker.identifiers import parse_id, parse_project
from worker.ledger import Enqueued, Ledger, MovePool
from worker.ledger.joined import call_after_commit, enqueue_joined
from worker.overview import Overview
from worker.queue.connection import open_redis
from worker.queue.hints import HintSender, HintToSend
from worker.queue.signals import Signals
from worker.readings import (
    DocumentReport,
    ExecutionReport,
    StatusReport,
    read_document,
    read_execution,
    read_status,
)
from worker.requests import CancelRequest, DocumentRequest, EnqueueRequest, WaitRequest
from worker.settings import Settings, read_settings, secret

_LOOK_AGAIN = 1.0
# How long the first look may wait for the signals to be heard, in seconds.
_HEARING = 0.1


class Client(Overview):
    """A connection to copydesk for one process; open it once and share it.

    Every call names its project. Errors are `CopydeskError`s with a stable `code`; where
    `retryable` is true nothing is known to have been accepted and the same call may be repeated
    (with an idempotency key, so that it cannot be accepted twice).
    """

    def __init__(self, settings: Settings) -> None:
        """Make a client of settings with `database_url` and `redis_url`; connects when used."""
        settings.require("database_url", "redis_url")
        url = secret(settings.database_url)
        self._input_limit = settings.input_limit
        self._pool = MovePool(url, size=settings.pool_size, name="copydesk client")
        self._ledger = Ledger(self._pool, input_limit=self._input_limit)
        self._database = Database(url, size=settings.pool_size)
        self._redis = open_redis(secret(settings.redis_url), queue_name=settings.queue_name)
        self._hints = HintSender(self._redis)
        self._signals = Signals(self._redis)
        self.dead_letters = DeadLetters(self._database, self._ledger, self._hints.post)

    @classmethod
    def connect(cls, *, database_url: str, redis_url: str, **settings: object) -> Self:
        """Make a client of two URLs; the role in `database_url` is copydesk_app or a member."""
        return cls(read_settings(database_url=database_url, redis_url=redis_url, **settings))

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Send the hints under way and close every connection."""
        await self._hints.settle()
        await self._signals.close()
        await self._pool.close()
        await self._database.close()
        await self._redis.aclose()

    async def enqueue(
        self,
        project_id: UUID | str,
        agent_type: str,
        input: dict[str, Any] | None = None,  # noqa: A002 - the word callers use
        *,
        requested_by: UUID | str,
        correlation_id: UUID | str | None = None,
        idempotency_key: str | None = None,
        not_before: datetime | None = None,
        priority: int = 0,
        max_attempts: int | None = None,
    ) -> Enqueued:
        """Record an execution; when this returns it is committed and will run.

        Args:
            project_id: the project; there is no default.
            agent_type: which agent is to run.
            input: the agent's input, a JSON object of at most `input_limit` bytes.
            requested_by: the user on whose behalf; becomes `created_by` of what it writes.
            correlation_id: follows the request across services; a new one where left out.
            idempotency_key: the same key and request in a project are one execution.
            not_before: aware datetime before which it must not start.
            priority: higher starts first, -100 to 100.
            max_attempts: failed attempts before it ends `failed`; the agent's own where left out.

        Raises:
            ProjectRequiredError: no project, or not one.
            InputInvalidError: a field breaks a rule; the message names both.
            NotFoundError: no such project or user.
            IdempotencyConflictError: the key stands for a different request.
            DatabaseUnavailableError: not accepted as far as is known; try again.
        """
        request = EnqueueRequest.checked(
            {
                "project_id": project_id,
                "agent_type": agent_type,
                "input": {} if input is None else input,
                "requested_by": requested_by,
                "correlation_id": correlation_id,
                "idempotency_key": idempotency_key,
                "not_before": not_before,
                "priority": priority,
                "max_attempts": max_attempts,
            }
        )
        recorded = await self._ledger.enqueue(request)
        self._hint([recorded])
        return recorded

    async def enqueue_many(
        self, project_id: UUID | str, requests: Sequence[dict[str, Any]]
    ) -> list[Enqueued]:
        """Record up to 10,000 executions of one project in one transaction, all or none.

        Each has the fields of `enqueue` by name, without `project_id`, and errors name its place.
        """
        checked = EnqueueRequest.checked_many(project_id, requests)
        if not checked:
            return []
        recorded = await self._ledger.enqueue_many(checked)
        self._hint(recorded)
        return recorded

    async def enqueue_in(
        self,
        session: AsyncSession,
        project_id: UUID | str,
        agent_type: str,
        input: dict[str, Any] | None = None,  # noqa: A002
        **options: Any,  # noqa: ANN401 - the options of `enqueue`
    ) -> Enqueued:
        """Record an execution in the caller's own transaction: it commits or vanishes with it.

        The session's role must be copydesk_app or a member of it. The call binds the transaction
        to the project. The hint goes out after the commit, and only then. Options and errors are
        those of `enqueue`, and `ScopeConflictError` where the transaction has another project.
        """
        given = {"project_id": project_id, "agent_type": agent_type, "input": input, **options}
        request = EnqueueRequest.checked(given | ({"input": {}} if input is None else {}))
        recorded = await enqueue_joined(session, request, input_limit=self._input_limit)
        call_after_commit(session, lambda: self._hint([recorded]))
        return recorded

    async def status(self, project_id: UUID | str, correlation_id: UUID | str) -> StatusReport:
        """Return all executions of a correlation id in a project, as of one moment.

        An id that is unknown here is answered with no executions, whether or not another project
        knows it.
        """
        project = parse_project(project_id)
        correlation = _id("correlation_id", correlation_id)
        return await read_status(self._pool, project, correlation)

    async def execution(self, project_id: UUID | str, execution_id: UUID | str) -> ExecutionReport:
        """Return one execution; NotFoundError where the project has no such."""
        project = parse_project(project_id)
        execution = _id("execution_id", execution_id)
        found = await read_execution(self._pool, project, execution)
        if found is None:
            raise NotFoundError("execution_id: the project has no such execution")
        return found

    async def wait(
        self,
        project_id: UUID | str,
        correlation_id: UUID | str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - how long the caller is willing to wait
    ) -> StatusReport:
        """Wait until every execution of a correlation id is final, and return the report.

        Args:
            project_id: the project.
            correlation_id: what to wait for; NotFoundError where it stands for nothing here.
            timeout: seconds; None waits as long as it takes.

        Where Redis does not answer it looks once a second, the first time after a tenth.

        Raises:
            TimeoutError: some of it is still pending or running.
        """
        patience = WaitRequest.checked({"timeout": timeout}).timeout
        deadline = None if patience is None else monotonic() + patience
        async with self._signals.ended(parse_project(project_id)) as ended:
            # Looking before it listens would mean looking twice, beside the work.
            await ended.wait(
                _HEARING if deadline is None else min(deadline - monotonic(), _HEARING)
            )
            while True:
                report = await self.status(project_id, correlation_id)
                if not report.executions:
                    raise NotFoundError("correlation_id: stands for nothing in this project")
                if report.is_final:
                    return report
                left = _LOOK_AGAIN if deadline is None else deadline - monotonic()
                if left <= 0:
                    raise TimeoutError(f"not final within {timeout:g} s")
                await ended.wait(min(left, _LOOK_AGAIN))

    async def document(
        self, project_id: UUID | str, document_type: str, version: int | None = None
    ) -> DocumentReport:
        """Return a version with its content, the latest unless `version` is given.

        Raises:
            NotFoundError: the project has no such version.
        """
        project = parse_project(project_id)
        wanted = DocumentRequest.checked({"document_type": document_type, "version": version})
        async with self._database.project(project, snapshot=True) as session:
            found = await read_document(session, project, wanted.document_type, wanted.version)
        if found is None:
            raise NotFoundError("document_type: the project has no such document or version")
        return found

    async def cancel(
        self, project_id: UUID | str, execution_id: UUID | str, reason: str = ""
    ) -> str:
        """Cancel an execution and return its status; `reason`, up to 2,000 characters, is kept.

        A pending one is `cancelled` at once. A running one gets a durable flag and its worker is
        told; it stays `running` until its agent has stopped. A final one stays as it is.

        Raises:
            NotFoundError: the project has no such execution.
        """
        project = parse_project(project_id)
        wanted = CancelRequest.checked({"execution_id": execution_id, "reason": reason})
        status = await self._ledger.request_cancel(project, wanted.execution_id, wanted.reason)
        if status == "running":
            await self._signals.publish_cancel(project, wanted.execution_id)
        elif status == "cancelled":
            await self._signals.publish_ended({project: [wanted.execution_id]})
        return status

    async def create_user(self, *, email: str, name: str) -> UUID:
        """Return the user with this email address, created where there is none."""
        return await ensure_user(self._database, email=email, name=name)

    async def create_project(
        self, *, name: str, created_by: UUID | str, language: str = "en"
    ) -> UUID:
        """Create a project; its language, such as `en` or `de-AT`, stays for good."""
        return await create_project(
            self._database, name=name, created_by=created_by, language=language
        )

    def _hint(self, recorded: Sequence[Enqueued]) -> None:
        self._hints.post(
            [
                HintToSend(item.project_id, item.execution_id, item.scheduled_at)
                for item in recorded
                if item.status == "pending"
            ]
        )


def _id(field: str, value: UUID | str) -> UUID:
    try:
        return parse_id(value)
    except ValueError as error:
        raise InputInvalidError(f"{field}: {error}") from None
