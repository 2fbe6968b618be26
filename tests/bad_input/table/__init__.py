"""The bad-input table: every row of every door, and what each number is about.

A number stands for a class of bad input. `DOORS` says at which doors that exist it is tried, and
`LEFT_OUT` where there is no such door to try it at.
"""

from tests.bad_input.row import Row
from tests.bad_input.table import agents, calls, cli, client, config, hints, queue, sql

ROWS: list[Row] = [
    *client.ROWS,
    *calls.ROWS,
    *sql.ROWS,
    *queue.ROWS,
    *hints.ROWS,
    *cli.ROWS,
    *agents.ROWS,
    *config.ROWS,
]

EVERYWHERE = ("client", "sql", "queue", "cli")

DOORS: dict[str, tuple[str, ...]] = {
    "B01": ("queue",),
    "B02": ("queue",),
    "B05": ("queue", "hint"),
    "B06": ("queue",),
    "B07": ("queue",),
    "B09": ("queue",),
    "B10": ("queue", "hint", "sql", "cli"),
    "B12": ("hint",),
    "B13": ("hint",),
    "B14": (*EVERYWHERE, "hint"),
    "B15": (*EVERYWHERE, "hint"),
    "B20": EVERYWHERE,
    "B21": EVERYWHERE,
    "B22": (*EVERYWHERE, "agent"),
    "B23": (*EVERYWHERE, "agent"),
    "B24": (*EVERYWHERE, "agent"),
    "B25": (*EVERYWHERE, "agent"),
    "B26": (*EVERYWHERE, "agent"),
    "B28": ("cli",),
    "B29": (*EVERYWHERE, "agent"),
    "B30": ("client", "sql", "queue"),
    "B31": EVERYWHERE,
    "B32": ("client", "sql", "queue"),
    "B34": ("client", "cli"),
    "B36": (*EVERYWHERE, "agent"),
    "B37": ("agent",),
    "B38": ("agent",),
    "B39": ("agent",),
    "B40": ("cli",),
    "B41": ("agent",),
    "B42": ("agent", "cli"),
    "B44": ("client", "cli", "agent"),
    "B45": ("cli",),
    "B46": ("config",),
    "B47": ("config",),
    "B48": ("config",),
    "B49": ("config",),
    "B50": ("migration",),
}
"""Number -> the doors where it is tried."""

LEFT_OUT: dict[str, str] = {
    "B21": "HTTP: there is no such door",
    "B26": "HTTP: there is no such door",
    "B27": "HTTP: there is no such door, so there are no bodies",
    "B28": "HTTP: there is no such door; files are read by the command line, and tried there",
    "B29": "HTTP: there is no such door",
    "B30": "HTTP: there is no such door",
    "B31": "HTTP: there is no such door",
    "B32": "HTTP: there is no such door",
    "B34": "HTTP: there is no such door, and no cursor; limits are tried where there are any",
    "B35": "stream: there is no such door",
}
"""Number -> the door of the table that does not exist."""

ALONE: dict[tuple[str, str], tuple[str, str]] = {
    ("B06", "queue"): (
        "bad_input/test_queue.py",
        "test_b06_an_unknown_agent_waits_is_told_of_and_does_not_circulate",
    ),
    ("B12", "hint"): (
        "bad_input/test_hints.py",
        "test_b12_a_hint_that_mixes_two_projects_writes_nothing",
    ),
    ("B30", "client"): (
        "bad_input/test_client.py",
        "test_b30_the_same_key_and_request_are_one_execution",
    ),
    ("B30", "sql"): (
        "bad_input/test_sql.py",
        "test_b30_the_same_key_and_request_are_one_execution",
    ),
    ("B30", "queue"): ("bad_input/test_queue.py", "test_b30_the_same_message_id_is_one_execution"),
    ("B32", "client"): (
        "bad_input/test_client.py",
        "test_b32_the_same_key_in_another_project_is_another_key",
    ),
    ("B32", "sql"): (
        "bad_input/test_sql.py",
        "test_b32_the_same_key_in_another_project_is_another_key",
    ),
    ("B32", "queue"): (
        "bad_input/test_queue.py",
        "test_b32_the_same_key_in_another_project_is_another_key",
    ),
    ("B39", "agent"): (
        "bad_input/test_agents.py",
        "test_b39_an_agent_that_names_another_project_writes_and_reads_in_its_own",
    ),
    ("B42", "cli"): (
        "bad_input/test_cli.py",
        "test_b42_a_message_of_an_agent_is_one_line_of_a_list",
    ),
    ("B50", "migration"): (
        "isolation/test_preflight.py",
        "test_a_table_without_its_guard_is_refused",
    ),
}
"""What is not a row but a test of its own: (number, door) -> where it stands."""
