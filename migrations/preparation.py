"""What has to hold around a schema, where no migration reaches: roles, the database, extensions.

Each thing that is not as it has to be is a fault, with a sentence and, where the remedy is safe,
the statement that repairs it. `prepare` repairs what it may; `alembic check` reports what is left.
Roles belong to the whole cluster: they are created when missing, given their time limits, and never
dropped; attributes or memberships that a role has too many are for a person to take away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from models.roles import MEMBERSHIPS, OWNER, PASSES_POLICIES, ROLE_SETTINGS, ROLES, SEARCH

log = logging.getLogger(__name__)

EXTENSIONS = ("pg_stat_statements", "pg_trgm")

_DENIED = "42501"
# Somebody else prepares another database of the cluster at the same moment: role exists already,
# unique violation, tuple concurrently updated.
_RACES = frozenset({"42710", "23505", "XX000"})
_TRIES = 10
_PASSES = {"BYPASSRLS"}


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it has to be; `remedy` is an SQL statement, or None.

    While a blocking one is there, nothing can be migrated or compared.
    """

    sentence: str
    remedy: str | None = None
    blocking: bool = False


def faults(connection: Connection) -> list[Fault]:
    """Return everything that is wrong with roles and database; needs no privileges."""
    missing = _missing_roles(connection)
    return missing or [*_role_faults(connection), *_database_faults(connection)]


def prepare(connection: Connection) -> list[Fault]:
    """Repair what the connected role may repair and commit; return the faults that are left.

    Extensions that are not available, or that the role may not create, are logged and left out.
    """
    _repair(connection, _missing_roles)
    if not _missing_roles(connection):
        for readings in (_role_faults, _database_faults):
            _repair(connection, readings)
        for extension in EXTENSIONS:
            _create_extension(connection, extension)
    left = faults(connection)
    connection.commit()
    return left


def _repair(connection: Connection, reading: Callable[[Connection], list[Fault]]) -> None:
    denied: set[Fault] = set()
    for _ in range(_TRIES):
        repairable = [each for each in reading(connection) if each.remedy and each not in denied]
        if not repairable:
            return
        for fault in repairable:
            state = _attempt(connection, fault.remedy or "")
            if state == _DENIED:
                denied.add(fault)
        connection.commit()


def _attempt(connection: Connection, statement: str) -> str | None:
    """Execute; return the SQLSTATE when the role may not, or when another one was faster."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", ""))
        if state != _DENIED and state not in _RACES:
            raise
        return state
    return None


def _create_extension(connection: Connection, name: str) -> None:
    found = connection.execute(EXTENSION, {"name": name}).one_or_none()
    if found is None:
        log.info("extension %s is not available on this server", name)
    elif not found.installed and _attempt(connection, f"CREATE EXTENSION IF NOT EXISTS {name}"):
        log.warning("extension %s is left out: the connected role may not create it", name)


def _missing_roles(connection: Connection) -> list[Fault]:
    """Return the roles that do not exist."""
    present = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    return [
        Fault(f"role {role} does not exist", f"CREATE ROLE {role} {attributes}", blocking=True)
        for role, attributes in ROLES.items()
        if role not in present
    ]


def _role_faults(connection: Connection) -> list[Fault]:
    found = []
    for role, attributes in ROLES.items():
        allowed = {*attributes.upper().split(), *(_PASSES if role in PASSES_POLICIES else ())}
        has = set(connection.scalars(ATTRIBUTES, {"role": role}))
        found += [
            Fault(f"role {role} must not have the attribute {each}")
            for each in sorted(has - allowed)
        ]
        if role in PASSES_POLICIES and not has & _PASSES:
            found.append(Fault(f"role {role} must have BYPASSRLS", f"ALTER ROLE {role} BYPASSRLS"))
    found += _membership_faults(connection)
    found += [
        Fault(f"{row.setting} must have no default, and has one for {row.where}")
        for row in connection.execute(SCOPE_DEFAULTS)
    ]
    for role, settings in ROLE_SETTINGS.items():
        have = set(connection.scalars(SETTINGS, {"role": role}))
        found += [
            Fault(
                f"role {role} must have {name} = {value}",
                f"ALTER ROLE {role} SET {name} = '{value}'",
            )
            for name, value in settings.items()
            if f"{name}={value}" not in have
        ]
    return found


def _membership_faults(connection: Connection) -> list[Fault]:
    found = []
    missing = dict(MEMBERSHIPS)
    for row in connection.execute(MEMBERS, {"roles": [*ROLES], "search": SEARCH}):
        declared = MEMBERSHIPS.get((row.member, row.of))
        if declared is None:
            found.append(Fault(f"role {row.member} must not be a member of {row.of}"))
            continue
        missing.pop((row.member, row.of), None)
        if row.options != declared:
            sentence = f"role {row.member} must be a member of {row.of} WITH {declared} only"
            found.append(Fault(sentence, f"GRANT {row.of} TO {row.member} WITH {declared}"))
    return found + [
        Fault(
            f"role {member} must be a member of {of}",
            f"GRANT {of} TO {member} WITH {options}",
            # Without it the owner cannot hand functions over, and nothing can be compared.
            blocking=of == SEARCH,
        )
        for (member, of), options in missing.items()
    ]


def _database_faults(connection: Connection) -> list[Fault]:
    database, owner, may_create = connection.execute(DATABASE, {"owner": OWNER}).one()
    found = []
    if owner != OWNER:
        found.append(
            Fault(
                f"the database must be owned by {OWNER}",
                f"ALTER DATABASE {database} OWNER TO {OWNER}",
                blocking=not may_create,
            )
        )
    roles = {"roles": [*ROLES], "owner": OWNER}
    found += [
        Fault(
            f"{row.role} must not have {row.privilege} on {row.object}",
            f"REVOKE {row.privilege} ON {row.object} FROM {row.role}",
        )
        for row in connection.execute(EXCESS_GRANTS, roles)
    ]
    found += [
        Fault(
            f"role {row.role} must have USAGE on schema public",
            f"GRANT USAGE ON SCHEMA public TO {row.role}",
        )
        for row in connection.execute(MISSING_USAGE, roles)
    ]
    # They would grant something on declared and live objects alike, and so hide it from comparison.
    if connection.execute(DEFAULT_PRIVILEGES, {"owner": OWNER}).first():
        remedy = "ALTER DEFAULT PRIVILEGES takes them away"
        found.append(Fault(f"role {OWNER} must have no default privileges: {remedy}"))
    return found


EXTENSION: TextClause = text("""
SELECT installed_version IS NOT NULL AS installed FROM pg_available_extensions WHERE name = :name
""")

# Attributes a role can have too many of; INHERIT is the administrator's business.
ATTRIBUTES = text("""
SELECT a.attribute
FROM pg_roles r CROSS JOIN LATERAL (VALUES
    ('LOGIN', r.rolcanlogin), ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls),
    ('CREATEDB', r.rolcreatedb),
    ('CREATEROLE', r.rolcreaterole), ('REPLICATION', r.rolreplication)) AS a (attribute, has)
WHERE r.rolname = :role AND a.has
""")

# Of the roles themselves, and in the search role, whoever it is. An administrator who is no
# superuser administers the roles it has made, which is no way in.
MEMBERS = text("""
SELECT quote_ident(member.rolname) AS member, quote_ident(upper.rolname) AS of,
       concat_ws(', ', 'INHERIT ' || o.inherits, 'SET ' || o.becomes, 'ADMIN ' || o.hands_on)
           AS options
FROM pg_auth_members m
    JOIN pg_roles member ON member.oid = m.member JOIN pg_roles upper ON upper.oid = m.roleid
    CROSS JOIN LATERAL (SELECT upper(m.inherit_option::text), upper(m.set_option::text),
                               upper(m.admin_option::text)) AS o (inherits, becomes, hands_on)
WHERE member.rolname = ANY (CAST(:roles AS text[]))
    OR upper.rolname = :search AND (m.inherit_option OR m.set_option)
ORDER BY 1, 2
""")

SETTINGS = text("""
SELECT unnest(s.setconfig)
FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole AND s.setdatabase = 0
WHERE r.rolname = :role
""")

# A default for the project scope would be a default project.
SCOPE_DEFAULTS = text("""
SELECT split_part(c.config, '=', 1) AS setting,
       coalesce('role ' || r.rolname, 'database ' || d.datname, 'everybody') AS where
FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c (config)
    LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE c.config LIKE 'app.%'
    AND (s.setdatabase = 0 OR d.datname = current_database())
ORDER BY 1, 2
""")

DATABASE = text("""
SELECT quote_ident(datname), pg_get_userbyid(datdba),
       has_database_privilege(:owner, oid, 'CREATE')
FROM pg_database
WHERE datname = current_database()
""")

EXCESS_GRANTS = text("""
WITH held AS (
    SELECT 'DATABASE ' || quote_ident(datname) AS object, x.*
    FROM pg_database CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba))) x
    WHERE datname = current_database()
    UNION ALL
    SELECT 'SCHEMA public', x.*
    FROM pg_namespace CROSS JOIN aclexplode(coalesce(nspacl, acldefault('n', nspowner))) x
    WHERE nspname = 'public'
)
SELECT held.object, held.privilege_type AS privilege,
       coalesce(quote_ident(r.rolname), 'PUBLIC') AS role
FROM held LEFT JOIN pg_roles r ON r.oid = held.grantee
WHERE held.privilege_type IN ('CREATE', 'TEMPORARY')
    AND (held.grantee = 0 OR r.rolname = ANY (CAST(:roles AS text[])) AND r.rolname <> :owner)
ORDER BY held.object, role, privilege
""")

MISSING_USAGE = text("""
SELECT quote_ident(r.rolname) AS role
FROM pg_roles r JOIN pg_namespace n ON n.nspname = 'public'
WHERE r.rolname = ANY (CAST(:roles AS text[])) AND r.rolname <> :owner AND NOT EXISTS (
    SELECT FROM aclexplode(n.nspacl) x WHERE x.grantee = r.oid AND x.privilege_type = 'USAGE')
ORDER BY 1
""")

DEFAULT_PRIVILEGES = text("""
SELECT true FROM pg_default_acl a JOIN pg_roles r ON r.oid = a.defaclrole
WHERE r.rolname = :owner
""")
