"""What passes between the intake and whoever handles messages: deliveries in, endings out."""

import json
import pickle
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from arq.jobs import serialize_result
from arq.worker import JobExecutionFailed

from worker.queue.envelope import Hint
from worker.queue.payload import Codec, Payload
from worker.requests import EnqueueRequest

# Read by every Python that arq runs on.
_PICKLE_PROTOCOL = 4


@dataclass(frozen=True, slots=True)
class Ending:
    """How a message ended, for its producer's `Job.result()`.

    Attributes:
        job_id: the message's id, as it stands in the queue.
        codec: how its producer writes and reads.
        success: whether `result`, a JSON value, is the answer; otherwise `error` says why not.
        enqueued_at_ms: the producer's time, in Unix milliseconds.
        function: the name of the function that was asked for.
        started: when work on it began.
        finished: when it ended.
        wants_result: whether anyone may ask for the result; nobody asks for a hint's.
    """

    job_id: bytes
    codec: Codec
    success: bool
    result: object
    error: str | None
    enqueued_at_ms: int
    function: str
    started: datetime
    finished: datetime
    wants_result: bool = True

    def serialize(self, queue_name: str) -> bytes:
        """Return the value of `arq:result:<id>`: arq's fields, in the producer's codec.

        The job's arguments are left out, so that a project's input is not kept a second time.
        A result that is not JSON ends as arq ends it: a failure that says so.
        """
        answer: object = self.result
        if not self.success:
            answer = self.error if self.codec == "json" else JobExecutionFailed(self.error)
        job_id = self.job_id.decode()
        data = serialize_result(
            function=self.function,
            args=(),
            kwargs={},
            job_try=1,
            enqueue_time_ms=self.enqueued_at_ms,
            success=self.success,
            result=answer,
            start_ms=_unix_ms(self.started),
            finished_ms=_unix_ms(self.finished),
            ref=job_id,
            queue_name=queue_name,
            job_id=job_id,
            serializer=_write_json if self.codec == "json" else _write_pickle,
        )
        return data or b""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One good message, claimed; to be ended by `finish`, `defer` or `quarantine`.

    Attributes:
        job_id: its id in the queue; valid UTF-8 of at most 1,024 bytes.
        content: what it asks for.
        payload: what it was read from.
        raw: the bytes of the payload.
    """

    job_id: bytes
    content: Hint | EnqueueRequest
    payload: Payload
    raw: bytes

    @property
    def wants_result(self) -> bool:
        """Whether its producer may ask for a result: every message but a hint of our own."""
        return not (
            isinstance(self.content, Hint)
            and self.payload.codec == "json"
            and self.job_id == str(self.content.execution_id).encode()
        )

    def succeeded(self, result: object, *, started: datetime, finished: datetime) -> Ending:
        """Return the ending of this message with an answer, a JSON value."""
        return self._ending(True, result, None, started, finished)

    def failed(self, error: str, *, started: datetime, finished: datetime) -> Ending:
        """Return the ending of this message without an answer; `error` is for its producer."""
        return self._ending(False, None, error, started, finished)

    def _ending(
        self,
        success: bool,
        result: object,
        error: str | None,
        started: datetime,
        finished: datetime,
    ) -> Ending:
        return Ending(
            job_id=self.job_id,
            codec=self.payload.codec,
            success=success,
            result=result,
            error=error,
            enqueued_at_ms=self.payload.enqueued_at_ms,
            function=self.payload.function,
            started=started,
            finished=finished,
            wants_result=self.wants_result,
        )


class Handler(Protocol):
    """Whoever does the work that messages ask for."""

    def capacity(self) -> int:
        """Return how many more messages may be handed over now."""

    async def wait_for_capacity(self) -> None:
        """Return once `capacity` is above zero."""

    async def handle(self, messages: list[Delivery]) -> None:
        """Take these messages over; returns at once, each is ended later."""


def _unix_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _write_json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode()


def _write_pickle(fields: dict[str, Any]) -> bytes:
    if not isinstance(fields["r"], JobExecutionFailed):
        # Only plain values: a producer need not have our classes, and should not load them.
        fields = {**fields, "r": json.loads(json.dumps(fields["r"], allow_nan=False))}
    return pickle.dumps(fields, protocol=_PICKLE_PROTOCOL)
