"""Log lines: one an event, JSON or for a terminal, with secrets hidden and control escaped."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from worker.logs import configure_logging, execution_log
from worker.settings import Settings, read_settings

SECRET = "hunter2-hunter2"


class Unprintable:
    """Cannot be turned into text."""

    def __repr__(self) -> str:
        raise RuntimeError(SECRET)

    __str__ = __repr__


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def settings(**given: Any) -> Settings:
    """Return settings whose secrets are known."""
    return read_settings(
        **{
            "database_url": f"postgresql://me:{SECRET}@host/db",
            "llm_api_key": "sk-abcdefgh",
            "log_format": "json",
            **given,
        }
    )


def one(stream: io.StringIO) -> dict[str, Any]:
    """Return the one line that was logged."""
    [line] = stream.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture
def stream() -> io.StringIO:
    """Where JSON lines go."""
    stream = io.StringIO()
    configure_logging(settings(), stream)
    return stream


def test_a_line_has_time_level_logger_and_event(stream: io.StringIO) -> None:
    """What a machine needs to sort lines."""
    structlog.get_logger("copydesk.test").warning("happened", count=3)
    line = one(stream)
    assert {key: line[key] for key in ("event", "level", "logger", "count")} == {
        "event": "happened",
        "level": "warning",
        "logger": "copydesk.test",
        "count": 3,
    }
    assert line["timestamp"].endswith("Z")


def test_lines_of_libraries_take_the_same_road(stream: io.StringIO) -> None:
    """They are JSON too, and carry the ids of the execution they are logged in."""

    async def attempt() -> None:
        execution_log(project_id="p", execution_id="e")
        logging.getLogger("some.library").warning("slow: %d ms", 40)

    asyncio.run(attempt())
    line = one(stream)
    assert (line["event"], line["logger"]) == ("slow: 40 ms", "some.library")
    assert (line["project_id"], line["execution_id"]) == ("p", "e")


def test_ids_end_with_their_execution(stream: io.StringIO) -> None:
    """A line of another task belongs to nothing."""

    async def attempt() -> None:
        execution_log(execution_id="e")

    async def other() -> None:
        await asyncio.create_task(attempt())
        logging.getLogger("any").warning("after")

    asyncio.run(other())
    assert "execution_id" not in one(stream)


@pytest.mark.parametrize(
    "fields",
    [
        {"password": SECRET},
        {"API_KEY": SECRET},
        {"headers": {"Authorization": SECRET}},
        {"list": [{"token": SECRET}]},
        {"url": f"redis://:{SECRET}x@host/0"},
        {"text": f"said {SECRET} aloud"},
        {"deep": {"inner": [f"it was {SECRET}"]}},
        {"object": ValueError(f"cannot reach postgresql://me:{SECRET}@host/db")},
        {"key": "Bearer sk-abcdefgh"},
        {"_token": SECRET},
        {"_text": f"said {SECRET} aloud"},
        {"credentials": {"user": "me", "word": SECRET}},
        {"api_key": SECRET.encode()},
        {"list_of_passwords": [SECRET]},
        {"url": "postgresql://me:hunter2-hunter2@odd@host/db"},
    ],
)
def test_secrets_do_not_reach_the_log(fields: dict[str, Any], stream: io.StringIO) -> None:
    """By the name of the key, by the form of a URL, and by being a secret of the settings."""
    structlog.get_logger("any").info("said", **fields)
    text = stream.getvalue()
    assert SECRET not in text
    assert "sk-abcdefgh" not in text
    assert "[redacted]" in text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40ss%2Fword@host/db",
        "postgresql://host/db?user=me&password=p%40ss/word",
    ],
)
def test_a_password_is_hidden_as_it_is_written_and_as_the_server_sees_it(url: str) -> None:
    """Drivers speak of the decoded one."""
    stream = io.StringIO()
    configure_logging(settings(database_url=url), stream)
    structlog.get_logger("any").info("login as me with p@ss/word failed")
    assert one(stream)["event"] == "login as me with [redacted] failed"


def test_a_password_with_an_at_sign_is_hidden_whole() -> None:
    """A URL that is not quoted as it should be is read by drivers all the same."""
    stream = io.StringIO()
    configure_logging(settings(database_url="postgresql://me:p@ss-word@host/db"), stream)
    structlog.get_logger("any").info("cannot reach postgresql://me:p@ss-word@host/db")
    assert "ss-word" not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    ["x" * 5_000_000, "a://:" * 500_000, "a://" * 500_000 + ":", "://b:" + "c" * 5_000_000],
    ids=["one word", "urls", "schemes", "a password without end"],
)
def test_a_long_text_is_cut_and_holds_nobody_up(text: str, stream: io.StringIO) -> None:
    """Whatever an agent logs is written in the time that its length takes."""
    began = time.process_time()
    structlog.get_logger("any").info("said", text=text)
    assert time.process_time() - began < 2
    assert one(stream)["text"].endswith(f"... ({len(text)} characters)")
    assert len(stream.getvalue()) < 150_000


def test_a_cut_does_not_bare_a_password(stream: io.StringIO) -> None:
    """A URL that stands where a long text is cut is hidden like any other."""
    text = "x " * 49_992 + "redis://:sesame-sesame@host/0" + "y" * 99
    structlog.get_logger("any").info("said", text=text)
    assert "sesame" not in stream.getvalue()


def test_a_value_that_holds_itself_is_cut() -> None:
    """So is one that is deeper or larger than anybody reads; nobody's work stops for a line."""
    stream = io.StringIO()
    configure_logging(settings(), stream)  # here, where pytest's own handlers are in place
    itself: list[Any] = []
    itself += [itself, itself]
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]
    structlog.get_logger("any").info("said", itself=itself, deep=deep, many=[0] * 1_000_000)
    assert one(stream)["event"] == "said"
    assert len(stream.getvalue()) < 1_000_000


def test_a_number_that_json_does_not_know_is_text(stream: io.StringIO) -> None:
    """A line is JSON for every reader."""
    structlog.get_logger("any").info("measured", score=float("nan"), rate=float("-inf"), of=2.5)
    line = one(stream)
    assert (line["score"], line["rate"], line["of"]) == ("nan", "-inf", 2.5)


def test_an_exception_is_one_line_without_secrets(stream: io.StringIO) -> None:
    """Its traceback stands in one field."""
    try:
        int(f"{SECRET}\x1b[2J")
    except ValueError:
        logging.getLogger("any").exception("went wrong")
    line = one(stream)
    assert "with base 10: '[redacted]\\x1b[2J'" in line["exception"]
    assert "Traceback" in line["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_value_moves_a_cursor_or_forges_a_line(log_format: str) -> None:
    """Escape sequences, line ends and other control characters show as text."""
    stream = io.StringIO()
    configure_logging(settings(log_format=log_format), stream)
    fields = {"text": "\x1b]0;title\x07\x9b2J\u2028", "key\nforged\x1b": 1}
    structlog.get_logger("any").info("a\r\nb\x1b[31m", **fields)
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert not set(text) & {"\x1b", "\r", "\x07", "\x9b", "\u2028"}


def test_an_exception_moves_no_cursor_on_a_terminal() -> None:
    """Its lines are lines; what else is in it is escaped."""
    stream = io.StringIO()
    configure_logging(settings(log_format="console"), stream)
    try:
        raise ValueError("\x1b[2J\r")  # noqa: TRY301
    except ValueError:
        structlog.get_logger("any").exception("went wrong")
    assert not set(stream.getvalue()) & {"\x1b", "\r"}


@pytest.mark.parametrize("argument", [SECRET, Unprintable()])
def test_a_line_that_cannot_be_written_is_mentioned_and_not_shown(
    argument: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logging's own complaint would print the arguments; and nobody's work stops for a log line."""
    stream = io.StringIO()
    configure_logging(settings(), stream)  # here, where pytest's own handlers are in place
    logging.getLogger("some.library").warning("%d items", argument)
    line = one(stream)
    assert (line["event"], line["of"]) == ("line_not_written", "some.library")
    assert SECRET not in stream.getvalue() + capsys.readouterr().err


def test_a_closed_stream_stops_nobody(stream: io.StringIO) -> None:
    """A log that is gone is no reason to fail."""
    stream.close()
    structlog.get_logger("any").info("into the void")


def test_libraries_that_chatter_are_heard_from_warning_on(stream: io.StringIO) -> None:
    """A line a request, or the arguments of a job, are not for the log."""
    for name in ("httpx", "openai", "arq.worker", "asyncio"):
        logging.getLogger(name).info("chatter")
    assert stream.getvalue() == ""


def test_auto_means_json_where_no_terminal_is() -> None:
    """A pipe is read by a machine."""
    stream = io.StringIO()
    configure_logging(settings(log_format="auto"), stream)
    structlog.get_logger("any").info("said")
    assert one(stream)["event"] == "said"
