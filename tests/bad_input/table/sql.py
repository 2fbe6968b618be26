"""Bad input for `enqueue_execution`, as a service in any language calls it.

`input` is what is changed in a good call: SQL, by the name of the argument. MINE and USER stand for
the place's own project and user.
"""

from tests.bad_input.row import CANARY, ID, Row

SQL = "sql"


def _rows(id_: str, name: str, values: dict[str, str], code: str) -> list[Row]:
    return [Row(id_, SQL, f"{name}-{what}", {name: sql}, code) for what, sql in values.items()]


def _value(sql: str) -> str:
    """Return an input that holds a JSON value, which may take SQL to write down."""
    return f"""('{{"value": ' || {sql} || '}}')::jsonb"""


def _nested(levels: int) -> str:
    return _value(f"repeat('[', {levels}) || repeat(']', {levels})")


REFUSED = [
    *_rows("B14", "p_project_id", {"null": "NULL"}, "CD001"),
    *_rows(
        "B14",
        "p_project_id",
        {"empty": "''", "default": "'default'", "star": "'*'", "canary": f"'{CANARY}'"},
        "22P02",
    ),
    *_rows("B14", "p_project_id", {"zero": "0", "false": "false"}, "42883"),
    *_rows("B15", "p_project_id", {"nil": "'00000000-0000-0000-0000-000000000000'"}, "CD001"),
    *_rows("B15", "p_correlation_id", {"nil": "'00000000-0000-0000-0000-000000000000'"}, "CD004"),
    *_rows(
        "B15",
        "p_project_id",
        {
            "urn": f"'urn:uuid:{ID}'",
            "space-before": f"' {ID}'",
            "newline": f"E'{ID}\\n'",
            "full-width-digits": "'{}'".format(ID.replace("0", "\uff10")),
            "two": f"'{ID},{ID}'",
        },
        "22P02",
    ),
    *_rows("B15", "p_requested_by", {"null": "NULL"}, "CD004"),
    *_rows("B15", "p_requested_by", {"nobody": f"'{ID}'"}, "23503"),
    *_rows(
        "B20",
        "p_agent_type",
        {
            "null": "NULL",
            "empty": "''",
            "path": "'../'",
            "10000-characters": "repeat('a', 10000)",
            "capitals": "'Review'",
            "space": "'re view'",
            "51-characters": "repeat('x', 51)",
            "newline": "E'review\\n'",
            "canary": f"'{CANARY} '",
        },
        "CD004",
    ),
    *_rows(
        "B21",
        "p_correlation_id",
        {"word": f"'{CANARY}'", "line-ends": f"E'{ID}\\r\\nx'"},
        "22P02",
    ),
    *_rows("B21", "p_correlation_id", {"1MB": "repeat('x', 1000000)::uuid"}, "22P02"),
    *_rows("B22", "p_input", {"nul": """'{"value": "\\u0000"}'"""}, "22P05"),
    *_rows("B23", "p_input", {"surrogate": """'{"value": "\\ud800"}'"""}, "22P02"),
    *_rows("B24", "p_input", {"nan": """'{"value": NaN}'"""}, "22P02"),
    *_rows("B24", "p_input", {"1e200000": """'{"value": 1e200000}'"""}, "22003"),
    *_rows("B25", "p_priority", {"fraction": "1.5", "text": "'5'::text", "true": "true"}, "42883"),
    *_rows("B25", "p_priority", {"101": "101", "-101": "-101", "40000": "40000"}, "CD004"),
    *_rows("B25", "p_max_attempts", {"zero": "0", "minus-one": "-1", "101": "101"}, "CD004"),
    *_rows("B26", "p_input", {"depth-201": _nested(200)}, "CD004"),
    *_rows("B26", "p_input", {"depth-2000": _nested(2_000)}, "CD004"),
    *_rows("B26", "p_input", {"depth-5000": _nested(5_000)}, "CD004"),
    *_rows("B26", "p_input", {"depth-100000": _nested(100_000)}, "54001"),
    *_rows("B29", "p_not_before", {"word": f"'{CANARY}'"}, "22007"),
    *_rows("B29", "p_not_before", {"year-9999999": "'9999999-01-01'"}, "22008"),
    *_rows(
        "B29",
        "p_not_before",
        {
            "infinity": "'infinity'",
            "minus-infinity": "'-infinity'",
            "year-1": "'0001-01-01'",
            "year-294276": "'294276-01-01'",
            "eleven-years": "now() + interval '4000 days'",
        },
        "CD004",
    ),
    *_rows(
        "B31",
        "p_idempotency_key",
        {"256-characters": "repeat('k', 256)", "empty": "''", "line-end": "E'a\\nb'"},
        "CD004",
    ),
    *_rows(
        "B36",
        "p_input",
        {"list": "'[]'", "text": "'\"t\"'", "number": "'1'", "null": "'null'"},
        "CD004",
    ),
]
"""`code` is the SQLSTATE."""

ENDS = [
    *_rows("B25", "p_input", {"5000-digits": _value("'1e5000'")}, "input_invalid"),
    *_rows(
        "B25",
        "p_input",
        {"beyond-a-float": _value("'1' || repeat('0', 400) || '.5'")},
        "input_invalid",
    ),
    *_rows(
        "B10",
        "p_input",
        {"3MB": _value("'\"' || repeat('x', 3000000) || '\"'")},
        "output_too_large",
    ),
]
"""Accepted, and ended by the first worker that has it; `code` is its error code."""

RUNS = [
    *_rows("B15", "p_project_id", {"braces": "('{' || MINE || '}')::uuid"}, ""),
    *_rows("B15", "p_project_id", {"no-hyphens": "replace(MINE::text, '-', '')::uuid"}, ""),
    *_rows("B24", "p_input", {"1e999": _value("'1e999'")}, ""),
    *_rows("B25", "p_input", {"2^53+1": _value("'9007199254740993'")}, ""),
    *_rows("B25", "p_input", {"2^64": _value("'18446744073709551616'")}, ""),
    *_rows("B25", "p_priority", {"null": "NULL"}, ""),
    *_rows("B26", "p_input", {"depth-197": _nested(197)}, ""),
]
"""Accepted and completed: the function leaves these to its caller."""

ROWS = [*REFUSED, *ENDS, *RUNS]
