"""What a worker and an agent's own process say to each other: JSON with its length in front.

A message is four bytes of length and that much JSON. The worker says `Start`, then a `Reply` to
each `Read`, in order. The process says `Read`, `Report` and `LogLine` while it works, and `Ended`
last. Nothing is pickled: whatever the process has become, it can only say what stands here.
"""

import json
import struct
from base64 import b64decode, b64encode
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    TypeAdapter,
)

from worker.agents.contract import (
    Cancel,
    Document,
    Draft,
    ExportFile,
    Outcome,
    Retry,
    Run,
    Snooze,
)
from worker.attempt import Fault, Result, Stop, Stopped

HEADER = struct.Struct(">I")
LARGEST = 128 * 1024 * 1024
"""Bytes of the largest message, an answer with its documents and files among them."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Start(_Message):
    """To the process: what to run, and with what. `settings` are without URLs of servers."""

    settings: dict[str, Any]
    agent_type: str
    run: Run
    input: Any
    python_path: str | None


class Reply(_Message):
    """To the process: the documents that were asked for, or why they cannot be read."""

    documents: list[Document] = Field(default_factory=list)
    code: str | None = None
    message: str = ""


class Read(_Message):
    """From the process: read one document (None where there is none), or all the latest."""

    kind: Literal["read"] = "read"
    document_type: str | None
    version: int | None = None


class Report(_Message):
    """From the process: progress."""

    kind: Literal["report"] = "report"
    fraction: float | None
    message: str


class LogLine(_Message):
    """From the process: a line for the worker's log."""

    kind: Literal["log"] = "log"
    logger: str = Field(max_length=200)
    level: Literal["debug", "info", "warning", "error", "critical"]
    event: str
    fields: dict[str, Any]


class Ended(_Message):
    """From the process: what the attempt came to; see `ended` and `result_of`."""

    kind: Literal["ended"] = "ended"
    answer: Literal["outcome", "retry", "snooze", "cancel", "fault", "stopped"]
    value: dict[str, Any]


def _span(value: object) -> object:
    return timedelta(*value) if isinstance(value, list) else value


def _parts(span: timedelta | None) -> list[int] | None:
    return None if span is None else [span.days, span.seconds, span.microseconds]


_Span = Annotated[timedelta, BeforeValidator(_span)]


class _Fault(_Message):
    code: str = Field(pattern=r"^[!-~]+$", max_length=64)
    message: str
    retryable: bool
    retry_after: _Span | None
    frames: str | None


class _Snooze(_Message):
    until: AwareDatetime | NaiveDatetime
    reason: str


class _Retry(_Message):
    reason: str
    after: _Span | None


FromProcess = Read | Report | LogLine | Ended
_FROM_PROCESS: TypeAdapter[FromProcess] = TypeAdapter(
    Annotated[FromProcess, Field(discriminator="kind")]
)


class TooLargeError(ValueError):
    """A message is longer than `LARGEST`."""


def framed(message: BaseModel) -> bytes:
    """Return a message as it goes over the wire.

    Raises:
        TooLargeError: longer than `LARGEST`.
        TypeError, ValueError, RecursionError: something in it is not JSON.
    """
    # Not pydantic's encoder, which makes null of NaN: what an agent answers is judged as it is.
    shallow = {name: getattr(message, name) for name in type(message).model_fields}
    text = json.dumps(shallow, ensure_ascii=False, default=_dumped)
    # Lone surrogates pass, for the recorder to refuse as it does with any agent's.
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > LARGEST:
        raise TooLargeError(f"is {len(body)} bytes as JSON; at most {LARGEST} are allowed")
    return HEADER.pack(len(body)) + body


def _dumped(value: object) -> object:
    if isinstance(value, Run | Document):
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def from_process(body: bytes) -> FromProcess:
    """Return what a process said.

    Raises:
        ValueError, RecursionError: no message of this protocol.
    """
    return _FROM_PROCESS.validate_python(json.loads(body))


def ended(result: Result) -> Ended:
    """Return the message that carries a result; what is wrong inside it is found by `framed`.

    Raises:
        Exception: an answer holds something else than its fields say.
    """
    match result:
        case Outcome():
            files = [
                {**dict(file), "content": b64encode(file.content).decode()}
                | {"lifetime": _parts(file.lifetime)}
                for file in result.exports
            ]
            drafts = [dict(draft) for draft in result.drafts]
            value = {"output": result.output, "drafts": drafts, "exports": files}
            return Ended(answer="outcome", value=value)
        case Retry(reason=reason, after=after):
            return Ended(answer="retry", value={"reason": plain(reason), "after": _parts(after)})
        case Snooze(until=until, reason=reason):
            return Ended(
                answer="snooze", value={"until": until.isoformat(), "reason": plain(reason)}
            )
        case Cancel(reason=reason):
            return Ended(answer="cancel", value={"reason": plain(reason)})
        case Stopped(why=why):
            return Ended(answer="stopped", value={"why": why.value})
        case Fault():
            return Ended(
                answer="fault",
                value={
                    "code": result.code,
                    "message": plain(result.message),
                    "retryable": result.retryable,
                    "retry_after": _parts(result.retry_after),
                    "frames": None if result.frames is None else plain(result.frames, 20_000),
                },
            )


def result_of(message: Ended) -> Result:
    """Return the result that a message carries.

    Raises:
        ValueError: it carries none.
    """
    value = message.value
    match message.answer:
        case "outcome":
            exports = [
                ExportFile(
                    **{
                        **file,
                        "content": b64decode(file["content"]),
                        "lifetime": _span(file["lifetime"]),
                    }
                )
                for file in value["exports"]
            ]
            drafts = [Draft(**draft) for draft in value["drafts"]]
            return Outcome(output=value["output"], drafts=drafts, exports=exports)
        case "retry":
            retry = _Retry(**value)
            return Retry(retry.reason, retry.after)
        case "snooze":
            snooze = _Snooze(**value)
            return Snooze(snooze.until, snooze.reason)
        case "cancel":
            return Cancel(plain(value["reason"]))
        case "stopped":
            return Stopped(Stop(value["why"]))
        case "fault":
            return Fault(**dict(_Fault(**value)))


def plain(text: object, longest: int = 2000) -> str:
    """Return the text of a value, cut, and without what is no character (lone surrogates)."""
    return str(text)[:longest].encode("utf-8", "replace").decode()
