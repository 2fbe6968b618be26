"""What a claim brings: the messages as they stood in the queue, and how each is opened."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from worker.errors import CopydeskError, EnvelopeError
from worker.queue.envelope import FUNCTION, read_envelope
from worker.queue.hints import read_hint
from worker.queue.messages import Delivery, Ending
from worker.queue.payload import Payload, codec_of, decode_payload

MOST_MESSAGES = 200
FULL_BATCH_BYTES = 8_388_608
LONGEST_ID = 1024
_ID_HEAD = 256
# Above this size reading takes milliseconds, which the loop should not wait for.
_READ_IN_THREAD = 65_536
_UUID_VERSION_OF_ROWS = 7

_LOG = structlog.get_logger("worker.queue")


@dataclass(frozen=True, slots=True)
class Claimed:
    """One claimed message: its id, whether and what stood under its key, and the size of that."""

    job_id: bytes
    state: str
    raw: bytes
    size: int

    @property
    def name(self) -> str | None:
        """The id as text; None where no arq client could have made it."""
        if len(self.job_id) > LONGEST_ID:
            return None
        try:
            return self.job_id.decode()
        except UnicodeDecodeError:
            return None

    @property
    def is_expired(self) -> bool:
        """Whether the payload's time ran out, or Redis lost it, before anyone came."""
        return self.state == "missing" and self.name is not None

    @property
    def was_our_hint(self) -> bool:
        """Whether the id is an execution's, which no producer waits for; for lost payloads."""
        try:
            parsed = UUID(self.name or "")
        except ValueError:
            return False
        return parsed.version == _UUID_VERSION_OF_ROWS and str(parsed) == self.name

    def expired(self) -> Ending:
        """Return the ending that arq gives a message whose payload is gone."""
        return self._ending("job expired", wants_result=not self.was_our_hint)

    def refused(self, error: str) -> Ending:
        """Return the ending of a message that is set aside; `error` is for its producer."""
        # An id that is not text cannot be asked for.
        return self._ending(error, wants_result=self.name is not None)

    def _ending(self, error: str, *, wants_result: bool) -> Ending:
        now = datetime.now(UTC)
        return Ending(
            job_id=self.job_id,
            codec=codec_of(self.raw),
            success=False,
            result=None,
            error=error,
            enqueued_at_ms=int(now.timestamp() * 1000),
            function="<unknown>",
            started=now,
            finished=now,
            wants_result=wants_result,
        )

    async def open(self, *, limit: int) -> Delivery:
        """Return the message to hand over; payloads above `limit` bytes were not even fetched.

        Raises:
            CopydeskError: it is not a good message; the code and the text say why.
        """
        if self.name is None:
            raise EnvelopeError(f"the message's id is not UTF-8 of at most {LONGEST_ID} bytes")
        if self.state == "strange":
            raise EnvelopeError("the key of the payload does not hold a string")
        if self.state == "large":
            raise EnvelopeError(
                f"the payload is {self.size} bytes; at most {limit} are allowed",
                code="payload_too_large",
            )
        if self.size > _READ_IN_THREAD:
            return await asyncio.to_thread(self._read, limit)
        return self._read(limit)

    def _read(self, limit: int) -> Delivery:
        if hint := read_hint(self.raw):
            return Delivery(self.job_id, hint[0], Payload(FUNCTION, {}, hint[1], "json"), self.raw)
        payload = decode_payload(self.raw, limit=limit)
        return Delivery(self.job_id, read_envelope(payload), payload, self.raw)


@dataclass(frozen=True, slots=True)
class Batch:
    """The answer of one claim.

    Attributes:
        messages: what was claimed.
        more: whether more were due than fitted.
        next_due: seconds until the next message is due, None where none waits.
    """

    messages: list[Claimed]
    more: bool
    next_due: float | None

    @classmethod
    def read(cls, answer: Sequence[Any]) -> "Batch":
        """Return the batch in the answer of claim.lua."""
        next_due_ms, more, *messages = answer
        return cls(
            [
                Claimed(job_id, state.decode(), raw, int(size))
                for job_id, state, raw, size in messages
            ],
            bool(more),
            None if next_due_ms < 0 else next_due_ms / 1000,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """Claimed messages, sorted: good ones, bad ones with their fault, and those without payload."""

    good: list[Delivery]
    bad: list[tuple[Claimed, CopydeskError]]
    expired: list[Claimed]


async def open_all(messages: Sequence[Claimed], *, limit: int) -> Opened:
    """Open every message; nothing that one holds keeps its neighbours from being opened."""
    opened = Opened([], [], [])
    for message in messages:
        if message.is_expired:
            opened.expired.append(message)
            continue
        try:
            opened.good.append(await message.open(limit=limit))
        except CopydeskError as fault:
            opened.bad.append((message, fault))
        except Exception as error:  # noqa: BLE001 - a message must not end the loop
            _LOG.exception("message_unreadable", job_id=describe_id(message.job_id))
            unknown = EnvelopeError(f"the message cannot be read ({type(error).__name__})")
            opened.bad.append((message, unknown))
    return opened


def describe_id(job_id: bytes) -> str:
    """Return a message's id so that it is safe on one line of a log: `hex:...` when it is not."""
    try:
        text = job_id[:_ID_HEAD].decode()
    except UnicodeDecodeError:
        return f"hex:{job_id[:_ID_HEAD].hex()}"
    return text if text.isprintable() else f"hex:{job_id[:_ID_HEAD].hex()}"
