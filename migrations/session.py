"""What migrations run under: who they are, and how long they may wait and hold up others.

Whoever comes for a table after a waiting migration waits behind it. So a migration gives up soon,
keeps nothing, and is tried again. What is built beside a table holds up nobody: it may take its
time.
"""

from models.roles import OWNER

TABLE_LOCK_WAIT = "2s"
STATEMENT_TIME = "60s"

IN_THE_WAY = (
    f"SET lock_timeout = '{TABLE_LOCK_WAIT}'",
    f"SET statement_timeout = '{STATEMENT_TIME}'",
)
"""For whatever takes locks that others wait for."""

BESIDE = ("SET lock_timeout = '10min'", "SET statement_timeout = 0")
"""For what is built or dropped CONCURRENTLY, and only waits for older transactions to end."""

SESSION = (
    f"SET ROLE {OWNER}",
    "SET search_path = public",
    "SET check_function_bodies = off",  # functions may name each other before they exist
    # A killed migration ends, instead of going on with the lock that keeps out the next.
    "SET client_connection_check_interval = '1s'",
    *IN_THE_WAY,
)
