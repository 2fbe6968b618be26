"""What migrations run under: who they are, and how long they may wait and hold up others.

Whoever comes for a table after a waiting migration waits behind it. So a migration gives up soon,
keeps nothing, and is tried again.
"""

from models.roles import OWNER

TABLE_LOCK_WAIT = "2s"
STATEMENT_TIME = "60s"

SESSION = (
    f"SET ROLE {OWNER}",
    "SET search_path = public",
    "SET check_function_bodies = off",  # functions may name each other before they exist
    # A killed migration ends, instead of going on with the lock that keeps out the next.
    "SET client_connection_check_interval = '1s'",
    f"SET lock_timeout = '{TABLE_LOCK_WAIT}'",
    f"SET statement_timeout = '{STATEMENT_TIME}'",
)
