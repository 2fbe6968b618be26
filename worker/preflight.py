"""Preflight: what a worker checks before it takes work, and refuses to start without.

Isolation is the database's to enforce, so the worker makes sure that it does: roles that cannot do
more than they should, row level security enabled and forced on every project-owned table, no
default scope anywhere, and a schema of exactly this version.
"""

from typing import Any
from urllib.parse import urlsplit

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from models.declarations import project_owned
from models.roles import APP, CONTROL_COLUMNS, DISPATCH, OWNER
from worker.errors import StartupRefusedError
from worker.ledger import MovePool
from worker.settings import Settings, secret

_OLDEST_POSTGRES = 180_000
_LEASE = "agent_executions.lease_expires_at"
_REPAIR = "restore what `copydesk db check` finds missing, and drop what it finds in excess"

_ROLE = """
    SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
           pg_has_role(rolname, $1, 'MEMBER') AS owns,
           has_database_privilege(rolname, current_database(), 'CREATE, TEMP') AS creates,
           current_setting('server_version_num')::int AS server_version,
           coalesce(current_setting('app.project_id', true), '') <> '' OR EXISTS (
               SELECT FROM pg_db_role_setting AS s, unnest(s.setconfig) AS setting
               WHERE lower(setting) LIKE 'app.project_id=%' AND s.setdatabase IN (
                   0, (SELECT oid FROM pg_database WHERE datname = current_database()))
           ) AS has_default_scope
    FROM pg_roles WHERE rolname = current_user
"""

_TABLES = """
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced,
           pg_get_userbyid(c.relowner) = current_user AS owned,
           has_table_privilege(c.oid, 'TRUNCATE, TRIGGER, REFERENCES') AS too_much,
           (SELECT count(*) FROM pg_policy p
            WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.polcmd = '*'
                AND EXISTS (
                    SELECT FROM unnest(p.polroles) AS held (role)
                    WHERE held.role = 0 OR pg_has_role(held.role, 'USAGE'))
                AND pg_get_expr(p.polqual, p.polrelid) LIKE '%app.project_id%'
                AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%app.project_id%') AS guards
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND (a.attname = 'project_id' OR (c.relname = 'projects' AND a.attname = 'id'))
    ORDER BY c.relname
"""

_COLUMNS = """
    SELECT c.relname || '.' || a.attname AS name,
           has_column_privilege(c.oid, a.attnum, 'SELECT') AS readable,
           has_column_privilege(c.oid, a.attnum, 'INSERT, UPDATE, REFERENCES')
               OR has_table_privilege(c.oid, 'DELETE, TRUNCATE, TRIGGER, MAINTAIN') AS changeable
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
        AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
"""


async def check_database(app: MovePool, dispatch: MovePool, *, revision: str) -> None:
    """Refuse a database on which isolation or the schema is not as it has to be.

    Args:
        app: connections as copydesk_app.
        dispatch: connections as copydesk_dispatch.
        revision: the schema revision this code works with.

    Raises:
        StartupRefusedError: lists every fault with its remedy.
        DatabaseUnavailableError: PostgreSQL does not answer.
    """
    faults = [*_role_faults(APP, await app.call(_ROLE, OWNER))]
    faults += _role_faults(DISPATCH, await dispatch.call(_ROLE, OWNER))
    tables = await app.call(_TABLES)
    faults += _table_faults(tables)
    if tables:
        faults += await _revision_faults(app, revision)
    faults += _dispatch_faults(await dispatch.call(_COLUMNS))
    if faults:
        raise StartupRefusedError("; ".join(faults))


async def check_redis(redis: ArqRedis, settings: Settings) -> None:
    """Refuse a Redis that evicts, or is open to everybody outside development.

    A Redis that does not answer is no reason to refuse: the worker goes on by its sweeps.

    Raises:
        StartupRefusedError: lists every fault with its remedy.
    """
    faults = []
    url = urlsplit(secret(settings.redis_url))
    if settings.environment == "production" and not url.password:
        faults.append(
            "COPYDESK_REDIS_URL has no password; set one in Redis, or, on a machine of your own, "
            "COPYDESK_ENVIRONMENT=development"
        )
    try:
        memory = await redis.info("memory")
    except (RedisError, OSError):
        memory = {}
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        faults.append(
            f"Redis evicts keys (maxmemory-policy is {policy}); set it to noeviction, "
            "or give copydesk a Redis of its own"
        )
    if faults:
        raise StartupRefusedError("; ".join(faults))


def _role_faults(expected: str, rows: list[Any]) -> list[str]:
    role = rows[0]
    name = role["rolname"]
    faults = []
    if role["server_version"] < _OLDEST_POSTGRES:
        faults.append(f"PostgreSQL 18 or newer is needed, not {role['server_version'] // 10000}")
    excesses = {
        "rolsuper": "is a superuser",
        "rolbypassrls": "may bypass row level security",
        "rolcreaterole": "may create roles",
        "rolcreatedb": "may create databases",
        "owns": f"is, or is a member of, {OWNER}",
        "creates": "may create schemas or temporary tables in this database",
    }
    faults += [
        f"the role {name} {words}; connect as {expected}, prepared by `copydesk db upgrade`"
        for column, words in excesses.items()
        if role[column]
    ]
    if role["has_default_scope"]:
        faults.append(
            "app.project_id has a default on a role, a database or in the URL; remove it with "
            "ALTER ROLE ... RESET, ALTER DATABASE ... RESET, or from the URL"
        )
    return faults


def _dispatch_faults(columns: list[Any]) -> list[str]:
    visible = {f"agent_executions.{column}" for column in CONTROL_COLUMNS}
    excess = {
        "read": {row["name"] for row in columns if row["readable"]} - visible,
        "change": {row["name"] for row in columns if row["changeable"]} - {_LEASE},
    }
    return [
        f"{DISPATCH} can {verb} {', '.join(sorted(names))}; revoke that"
        for verb, names in excess.items()
        if names
    ]


def _table_faults(tables: list[Any]) -> list[str]:
    faults = []
    missing = set(project_owned()) - {table["relname"] for table in tables}
    if missing:
        names = ", ".join(sorted(missing))
        faults.append(f"tables are missing ({names}); run `copydesk db upgrade`")
    for table in tables:
        name = table["relname"]
        if not table["forced"]:
            faults.append(f"{name}: row level security is not enabled and forced; {_REPAIR}")
        if not table["guards"]:
            faults.append(f"{name}: has no restrictive policy on app.project_id; {_REPAIR}")
        if table["owned"] or table["too_much"]:
            faults.append(
                f"{name}: the worker's role owns it, or may TRUNCATE it or add triggers; {_REPAIR}"
            )
    return faults


async def _revision_faults(app: MovePool, revision: str) -> list[str]:
    rows = await app.call("SELECT version_num FROM alembic_version")
    found = rows[0]["version_num"] if rows else "none"
    if found == revision:
        return []
    versions = f"the schema is at revision {found}, this copydesk works with {revision}"
    return [f"{versions}; run `copydesk db upgrade`, or install the copydesk that fits"]
