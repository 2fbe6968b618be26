"""Signals that are none: channels and messages as anybody can publish them."""

from datetime import UTC, datetime, timedelta

from tests.bad_input.row import CANARY, ID, Row

HINT = "hint"

# MINE stands for the project in a channel, and for the running execution in a message.
SIGNALS = [
    Row("B14", HINT, "channel-default", (b"proj:default:cancel", b"MINE"), ""),
    Row("B14", HINT, "channel-empty", (b"proj::cancel", b"MINE"), ""),
    Row("B14", HINT, "channel-star", (b"proj:*:cancel", b"MINE"), ""),
    Row("B15", HINT, "channel-braces", (b"proj:{MINE}:cancel", b"MINE"), ""),
    Row("B15", HINT, "channel-longer", (b"proj:MINE:x:cancel", b"MINE"), ""),
    Row("B15", HINT, "channel-no-utf-8", (b"proj:\xff:cancel", b"MINE"), ""),
    Row("B15", HINT, "message-star", (b"proj:MINE:cancel", b"*"), ""),
    Row("B15", HINT, "message-empty", (b"proj:MINE:cancel", b""), ""),
    Row("B15", HINT, "message-no-utf-8", (b"proj:MINE:cancel", b"\xff\xfe"), ""),
    Row("B15", HINT, "message-braces", (b"proj:MINE:cancel", b"{MINE}"), ""),
    Row("B15", HINT, "message-canary", (b"proj:MINE:cancel", CANARY.encode()), ""),
    Row("B13", HINT, "message-unknown", (b"proj:MINE:cancel", ID.encode()), ""),
    Row("B10", HINT, "message-10MB", (b"proj:MINE:cancel", b"x" * 10_000_000), ""),
]
"""`input` is a channel and a message."""

ROWS = SIGNALS


def in_an_hour() -> datetime:
    """Return when nothing of a test is left."""
    return datetime.now(UTC) + timedelta(hours=1)
