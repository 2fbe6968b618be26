"""From an agent's result to the move that records it, checked first and repeated until answered."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from worker.agents.contract import Agent, Answer, Cancel, Outcome, Retry, Snooze
from worker.attempt import Fault, Result, Stop, Stopped
from worker.backoff import Backoff
from worker.errors import CopydeskError, OutputInvalidError
from worker.exports import ExportStore
from worker.ledger import Claim, Completion, Ended, Failure, Ledger, Release
from worker.ledger.records import Cancellation, ExportRow
from worker.outcomes import OutcomeRules

Move = Callable[[], Awaitable[Ended]]

_AGAIN = Backoff(first=timedelta(milliseconds=50), factor=2, cap=timedelta(seconds=5), jitter=0.5)

# Beyond this a moment no longer fits into a timestamp; no one waits for it either.
_LONGEST_DELAY = timedelta(days=3660)


class Recorder:
    """Records outcomes through the ledger.

    Args:
        ledger: the moves, in this worker's name.
        exports: where export files go before their rows are written.
        output_limit: bytes of output as JSON.
        document_limit: bytes of one document.
    """

    def __init__(
        self, ledger: Ledger, exports: ExportStore, *, output_limit: int, document_limit: int
    ) -> None:
        self._ledger = ledger
        self._exports = exports
        self._rules = OutcomeRules(output_limit=output_limit, document_limit=document_limit)
        self._log = structlog.get_logger("copydesk.agent")

    async def record(
        self, claim: Claim, agent: Agent, result: Result, *, lost: Callable[[], bool]
    ) -> Ended | None:
        """Record what an attempt came to; None where it was lost, and nothing was to be written.

        Repeats while the database is away, until it answers or `lost` says that the attempt is no
        longer this worker's.

        Raises:
            CopydeskError: the database refuses the outcome for good.
        """
        if isinstance(result, Stopped) and result.why is Stop.LOST:
            self._log.warning("attempt_lost")
            return None
        try:
            if isinstance(result, Outcome):
                return await self._complete(claim, result, lost)
            return await self._until_answered(self._move(claim, agent, result), lost)
        except CopydeskError as error:
            # The answer breaks a rule, of the contract or of the database: that is its outcome.
            fault = Fault(error.code, error.message, retryable=error.retryable)
        except BaseException as error:
            # The answer is the agent's own object, and may raise anything when it is read.
            if _is_cancelled():
                raise
            fault = Fault(
                OutputInvalidError.code,
                f"the agent's answer cannot be recorded ({type(error).__name__[:100]})",
                retryable=False,
            )
        return await self._until_answered(self._move(claim, agent, fault), lost)

    async def _complete(
        self, claim: Claim, outcome: Outcome, lost: Callable[[], bool]
    ) -> Ended | None:
        checked = await self._rules.check(outcome)
        files: list[ExportRow] = []
        tries = 0
        refused = False

        async def complete() -> Ended:
            nonlocal tries
            tries += 1
            return await self._ledger.complete(claim.project_id, completion)

        try:
            for place, file in enumerate(checked.exports):
                name = f"{claim.execution_id}-{claim.attempt}-{place}{file.suffix}"
                path = await self._exports.store(claim.project_id, name, file.content)
                files.append(ExportRow(path, file.manifest, file.lifetime))
            completion = Completion(
                claim.execution_id, claim.attempt, checked.output, checked.drafts, tuple(files)
            )
            ended = await self._until_answered(complete, lost)
            refused = ended is not None and not ended.accepted
        except CopydeskError:
            # What a repeat is told says nothing of the tries before it, whose answers were lost.
            refused = tries == 1
            raise
        else:
            return ended
        finally:
            # Else a row names the files, or may name them.
            if refused or tries == 0:
                for file_row in files:
                    await self._exports.discard(file_row.file_path)

    def _move(self, claim: Claim, agent: Agent, result: Answer | Fault | Stopped) -> Move:
        project, execution, attempt = claim.project_id, claim.execution_id, claim.attempt
        match result:
            case Stopped(why=Stop.CANCEL):
                stopped = Cancellation(execution, attempt, "cancelled on request")
                return lambda: self._ledger.cancel_attempt(project, stopped)
            case Cancel(reason=reason):
                stopped = Cancellation(execution, attempt, _text(reason))
                return lambda: self._ledger.cancel_attempt(project, stopped)
            case Stopped():
                given_back = Release(execution, attempt, "the worker is shutting down")
                return lambda: self._ledger.release(project, given_back)
            case Snooze(until=until, reason=reason):
                given_back = Release(execution, attempt, _text(reason), _aware(until))
                return lambda: self._ledger.release(project, given_back)
            case Retry(reason=reason, after=after):
                if not isinstance(after, timedelta | None):
                    raise OutputInvalidError("Retry.after: must be a timedelta, or left out")
                result = Fault("agent_retry", _text(reason), retryable=True, retry_after=after)
        if isinstance(result, Outcome):
            raise OutputInvalidError("an outcome is completed, not moved")
        failure = self._failure(claim, agent, result)
        return lambda: self._ledger.fail(project, failure)

    def _failure(self, claim: Claim, agent: Agent, fault: Fault) -> Failure:
        delay = None
        if fault.retryable:
            delay = fault.retry_after
            if delay is None:
                delay = agent.backoff.delay(claim.failures + 1)
            delay = min(max(delay, timedelta(0)), _LONGEST_DELAY)
        self._log.warning(
            "attempt_failed",
            code=fault.code,
            reason=fault.message,
            retryable=fault.retryable,
            **({"exception": fault.frames} if fault.frames else {}),
        )
        # Whatever a message was made of, it must be recorded.
        message = _text(fault.message)
        return Failure(claim.execution_id, claim.attempt, fault.code, message, delay)

    async def _until_answered(self, move: Move, lost: Callable[[], bool]) -> Ended | None:
        tries = 0
        while not lost():
            try:
                return await move()
            except CopydeskError as error:
                if not error.retryable:
                    raise
                tries += 1
                if tries == 1:
                    self._log.warning("outcome_kept_back", code=error.code, reason=error.message)
                await asyncio.sleep(_AGAIN.delay(tries).total_seconds())
        return None


def _is_cancelled() -> bool:
    """Whether this task is told to end, which is not the agent's doing."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _text(reason: object) -> str:
    return str(reason)[:2000].replace("\x00", "").encode("utf-8", "replace").decode()


def _aware(until: datetime) -> datetime:
    if not isinstance(until, datetime):
        raise OutputInvalidError("Snooze.until: must be an aware datetime")
    if until.tzinfo is None:
        raise OutputInvalidError("Snooze.until: has no time zone; give an aware datetime")
    try:
        return until.astimezone(UTC)
    except OverflowError:
        raise OutputInvalidError("Snooze.until: is out of range") from None
