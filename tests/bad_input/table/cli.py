"""Bad input for the command line: arguments, options, and files that they name.

`input` is the arguments; `code` is the exit code. The project and the user stand in the environment
unless a row names another.
"""

from typing import Any

from tests.bad_input.row import CANARY, ID, NO_ID, Row

CLI = "cli"
_TEXT_IDS = {what: value for what, value in NO_ID.items() if isinstance(value, str)}
_NOT_IN_ARGUMENTS = {"nul", "surrogate"}
_IDS = {what: value for what, value in _TEXT_IDS.items() if what not in _NOT_IN_ARGUMENTS}


def _each(
    id_: str, name: str, values: dict[str, str], *before: str, field: str, rule: str = ""
) -> list[Row]:
    """Return rows of one command whose last argument is bad."""
    return [
        Row(id_, CLI, f"{name}-{what}", (*before, value), "2", field, rule)
        for what, value in values.items()
    ]


def _input(id_: str, values: dict[str, str], rule: str = "") -> list[Row]:
    before = ("enqueue", "echo", "--input")
    return _each(id_, "input", values, *before, field="input", rule=rule)


def _deep(levels: int) -> str:
    return '{"a":' + "[" * levels + "]" * levels + "}"


REFUSED = [
    *_each(
        "B14",
        "project",
        {"empty": "", "default": "default", "star": "*", "null": "null", "canary": CANARY},
        "documents",
        "--project",
        field="project_id",
        rule="there is no default",
    ),
    *_each("B15", "project", _IDS, "documents", "--project", field="project_id"),
    *_each("B15", "status", _IDS, "status", field="correlation_id"),
    *_each("B15", "cancel", _IDS, "cancel", field="execution_id"),
    *_each("B15", "retry", _IDS, "retry", field="execution_ids"),
    *_each("B15", "by", _IDS, "enqueue", "echo", "--by", field="requested_by"),
    *_each(
        "B15", "correlation", _IDS, "enqueue", "echo", "--correlation-id", field="correlation_id"
    ),
    *_each(
        "B20",
        "agent",
        {"empty": "", "path": "../", "10000-characters": "a" * 10_000, "capitals": "Review"},
        "enqueue",
        field="agent_type",
    ),
    *_each(
        "B20", "failed-agent", {"empty": "", "path": "../"}, "failed", "--agent", field="agent_type"
    ),
    *_each(
        "B21",
        "correlation",
        {"line-ends": f"{ID}\r\n{CANARY}", "1MB": CANARY * 80_000, "escape": f"\x1b[2J{CANARY}"},
        "enqueue",
        "echo",
        "--correlation-id",
        field="correlation_id",
    ),
    *_input("B22", {"nul": '{"a": "' + CANARY + '\\u0000"}'}, "NUL"),
    *_input("B23", {"surrogate": '{"a": "' + CANARY + '\\ud800"}'}, "lone surrogate"),
    *_input("B23", {"no-utf-8": '{"a": "\udcff"}'}, "lone surrogate"),
    *_each("B23", "agent", {"no-utf-8": "\udcff"}, "enqueue", field="agent_type"),
    *_each("B23", "reason", {"no-utf-8": "\udcff"}, "cancel", ID, "--reason", field="reason"),
    *_input("B24", {"nan": '{"a": NaN}', "infinity": '{"a": [-Infinity]}'}, "NaN or Infinity"),
    *_input("B24", {"1e999": '{"a": 1e999}'}, "too large for a float"),
    *_input("B25", {"5000-digits": '{"a": ' + "9" * 5000 + "}"}, "digits"),
    *_each(
        "B25",
        "priority",
        {"fraction": "1.5", "word": "high", "101": "101", "1e9": "1e9", "5000-digits": "9" * 5000},
        "enqueue",
        "echo",
        "--priority",
        field="Invalid value for '--priority'",
    ),
    *_each(
        "B25",
        "max-attempts",
        {"zero": "0", "101": "101", "2^63": str(2**63)},
        "enqueue",
        "echo",
        "--max-attempts",
        field="Invalid value for '--max-attempts'",
    ),
    *_input("B26", {"depth-201": _deep(200), "depth-2000": _deep(2_000)}, "nested"),
    *_input("B26", {"depth-100000": _deep(100_000)}, "nested"),
    *_each(
        "B29",
        "since",
        {"word": "yesterday", "year-10000": "10000-01-01", "infinity": "infinity", "unix": "1e9"},
        "failed",
        "--since",
        field="Invalid value for '--since'",
    ),
    *_each(
        "B31",
        "key",
        {"empty": "", "space": f"{CANARY} x", "umlaut": "\u00e4", "256": "k" * 256, "line": "a\nb"},
        "enqueue",
        "echo",
        "--idempotency-key",
        field="idempotency_key",
    ),
    *[
        row
        for command in ("failed", "quarantine", "retry")
        for row in _each(
            "B34",
            f"{command}-limit",
            {"-1": "-1", "0": "0", "1e9": "1e9", "10^9": str(10**9), "word": "all"},
            command,
            "--limit",
            field="Invalid value for '--limit'",
        )
    ],
    *_each(
        "B34",
        "version",
        {"-1": "-1", "0": "0", "word": "last"},
        "show",
        "notes",
        "--version",
        field="Invalid value for '--version'",
    ),
    *_each(
        "B34",
        "version",
        {"2^31": str(2**31), "2^70": str(2**70)},
        "show",
        "notes",
        "--version",
        field="version",
    ),
    *_input(
        "B36",
        {"empty": "", "open": "{", "word": CANARY, "list": "[1]", "text": '"x"', "null": "null"},
    ),
    *_input("B36", {"same-key-twice": '{"a": 1, "a": 2}'}, "same key twice"),
    *_input("B36", {"no-file": "@/nowhere", "a-directory": "@/"}),
    *_each(
        "B44",
        "show",
        {"empty": "", "path": "../", "composed": "caf\u00e9", "decomposed": "cafe\u0301"},
        "show",
        field="document_type",
    ),
    *[
        Row("B44", CLI, f"name-{what}", ("project", "create", name, "--by", "a@b.c"), "2", "name")
        for what, name in {"empty": "", "long": "x" * 256, "line-end": f"a\n{CANARY}"}.items()
    ],
    *[
        Row(
            "B44",
            CLI,
            f"language-{name}",
            ("project", "create", "x", "--by", "a@b.c", "--language", name),
            "2",
            "language",
        )
        for name in ("en_GB", "\u65e5\u672c", "--en")
    ],
    Row("B44", CLI, "email", ("project", "create", "x", "--by", CANARY), "2", "email"),
    Row(
        "B45", CLI, "two-projects", ("documents", "--project", ID, "--project", ID), "2", "", "one"
    ),
    Row("B45", CLI, "retry-one-and-all", ("retry", ID, "--all"), "2", "retry"),
    Row("B45", CLI, "retry-nothing", ("retry",), "2", "retry"),
    Row("B45", CLI, "no-such-command", ("nonsense",), "2", "No such command"),
    Row("B45", CLI, "no-such-option", ("documents", "--everything"), "2", "No such option"),
]

ENVIRONMENT: list[Row] = [
    Row("B45", CLI, "no-project", None, "2", "", "--project"),
    Row("B45", CLI, "two-in-the-environment", f"{ID} {ID}", "2", "", "exactly one"),
    Row("B14", CLI, "default-in-the-environment", "default", "2", "", "there is no default"),
]
"""`input` is COPYDESK_PROJECT, and whether a command goes without one."""

FILES: list[Row] = [
    Row("B28", CLI, "file-no-utf-8", b'{"a": "\xff"}', "2", "input"),
    Row("B28", CLI, "file-byte-order-mark", b'\xef\xbb\xbf{"a": 1}', "2", "input"),
    Row("B28", CLI, "file-utf-16", '{"a": 1}'.encode("utf-16"), "2", "input"),
    Row("B10", CLI, "file-2MB", b'{"a": "' + b"x" * 2_000_000 + b'"}', "2", "input", "too large"),
    Row("B26", CLI, "file-depth-100000", _deep(100_000).encode(), "2", "input", "nested"),
]
"""`input` is what stands in a file that `--input` names."""

SHOWN: dict[str, Any] = {
    "script": "<script>alert(1)</script>",
    "link": "[click](javascript:alert(1)) and <a href='javascript:x'>this</a>",
    "image": "![pixel](https://tracker.example/pixel.png)",
    "escape": "\x1b[2J\x1b]0;title\x07 and \x9b31m",
    "line-ends": "one\r\ntwo\rthree\u2028four",
}
INERT = [Row("B40", CLI, f"shown-{what}", content, "") for what, content in SHOWN.items()]
"""`input` is a document; it is stored as it is, and shown so that it does nothing."""

ROWS = [*REFUSED, *ENVIRONMENT, *FILES, *INERT]
