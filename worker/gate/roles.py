"""The roles that are bound to a project or see none, and the owner.

Whoever connects must be the expected role or a member of it, and nothing more: no attribute that
opens doors, no membership that is not expected, nothing of its own, nowhere to create. The role of
maintenance, as which no process of this kind connects, is held to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.roles import OWNER
from worker.findings import Finding
from worker.gate.expected import BECOME, ROLES, SEEING
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

_CONNECTED = """
    SELECT r.rolname::text AS name, quote_ident(r.rolname) AS quoted, r.oid,
           ARRAY(SELECT e.oid FROM pg_roles e WHERE e.rolname IN (r.rolname, $1)) AS grantees,
           d.oid AS database,
           pg_postmaster_start_time() AS server_started,
           current_setting('server_version_num')::int AS server_version,
           array_remove(ARRAY[
               CASE WHEN r.rolsuper THEN 'rolsuper' END,
               CASE WHEN r.rolbypassrls THEN 'rolbypassrls' END,
               CASE WHEN r.rolreplication THEN 'rolreplication' END,
               CASE WHEN r.rolcreaterole THEN 'rolcreaterole' END,
               CASE WHEN r.rolcreatedb THEN 'rolcreatedb' END,
               CASE WHEN r.rolcanlogin THEN 'rolcanlogin' END], NULL) AS attributes,
           -- Whoever owns the database is a pg_database_owner, which is told with what it owns.
           ARRAY(SELECT o.rolname::text FROM pg_roles o
                 WHERE o.oid <> r.oid AND o.rolname <> 'pg_database_owner'
                     AND pg_has_role(r.oid, o.oid, 'MEMBER') ORDER BY 1) AS memberships,
           ARRAY(SELECT pg_get_userbyid(m.roleid)::text FROM pg_auth_members m
                 WHERE m.member = r.oid) AS granted,
           ARRAY(SELECT 'DATABASE ' || quote_ident(d.datname)
                 WHERE has_database_privilege(r.oid, d.oid, 'CREATE, TEMPORARY')
                 UNION ALL
                 SELECT 'SCHEMA ' || quote_ident(n.nspname) FROM pg_namespace n
                 WHERE n.nspname !~ '^pg_' AND has_schema_privilege(r.oid, n.oid, 'CREATE')
                 ORDER BY 1) AS creates,
           ARRAY(SELECT pg_describe_object(s.classid, s.objid, s.objsubid) FROM pg_shdepend s
                 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o'
                     -- Everybody may have these; what they open is told elsewhere.
                     AND s.classid NOT IN ('pg_largeobject'::regclass, 'pg_default_acl'::regclass)
                     AND s.refobjid IN (SELECT e.oid FROM pg_roles e
                                        WHERE e.rolname IN (r.rolname, $1))
                     AND (s.dbid = d.oid OR s.dbid = 0 AND s.objid = d.oid)
                 ORDER BY 1) AS owns,
           EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = 'public'
                       AND has_schema_privilege(r.oid, n.oid, 'USAGE')) AS enters,
           coalesce(current_setting('app.project_id', true), '') AS scope,
           current_setting('row_security') AS row_security,
           current_setting('session_replication_role') AS session_replication_role,
           array_to_string(current_schemas(false), ', ') AS search_path
    FROM pg_roles r CROSS JOIN pg_database d
    WHERE r.rolname = coalesce($2::text, current_user) AND d.datname = current_database()
"""

_OTHERS = """
    SELECT rolname::text AS name, array_remove(ARRAY[
        CASE WHEN rolsuper THEN 'rolsuper' END, CASE WHEN rolbypassrls THEN 'rolbypassrls' END,
        CASE WHEN rolreplication THEN 'rolreplication' END,
        CASE WHEN rolcreaterole THEN 'rolcreaterole' END], NULL) AS attributes
    FROM pg_roles WHERE rolname = ANY ($1::text[]) ORDER BY rolname
"""

_MEMBERS = """
    SELECT m.roleid::regrole::text AS name, pg_get_userbyid(m.member)::text AS member,
           bool_or(m.inherit_option) AS inherits
    FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
        JOIN pg_roles seeing ON seeing.oid = m.roleid
    WHERE seeing.rolname = ANY ($1::text[]) AND NOT r.rolsuper
        AND (m.inherit_option OR m.set_option)
    GROUP BY m.roleid, m.member ORDER BY name, member
"""

OLDEST_SERVER = 180_000

_SHOWN = 5
_ATTRIBUTES = {
    "rolsuper": ("is a superuser", "NOSUPERUSER"),
    "rolbypassrls": ("may bypass row level security", "NOBYPASSRLS"),
    "rolreplication": ("may copy the whole database by replication", "NOREPLICATION"),
    "rolcreaterole": ("may create roles", "NOCREATEROLE"),
    "rolcreatedb": ("may create databases", "NOCREATEDB"),
    "rolcanlogin": ("may log in", "NOLOGIN"),
}


@dataclass(frozen=True, slots=True)
class Connected:
    """A role as a connection shows it: its own, or, but for its settings, another one.

    Attributes:
        expected: what it must be, or be a member of.
        memberships: of it, also those through others; `granted` are its own.
        grantees: the oids of both.
        creates: the database and the schemas in which it may create something.
        owns: what belongs to either of them.
        enters: whether it has USAGE on the schema public.
    """

    expected: str
    name: str
    quoted: str
    oid: int
    grantees: Sequence[int]
    database: int
    server_started: datetime
    server_version: int
    attributes: Sequence[str]
    memberships: Sequence[str]
    granted: Sequence[str]
    creates: Sequence[str]
    owns: Sequence[str]
    enters: bool
    scope: str
    row_security: str
    session_replication_role: str
    search_path: str

    @property
    def identities(self) -> frozenset[str]:
        """The roles whose privileges it has, or can take."""
        return frozenset({self.name, *self.memberships})

    @property
    def is_superuser(self) -> bool:
        """Whether it may everything anyway."""
        return "rolsuper" in self.attributes

    @property
    def can_be_judged(self) -> bool:
        """Whether its privileges can be held against those of the expected role."""
        return (
            not self.is_superuser
            and self.expected in self.identities
            and OWNER not in self.identities
        )

    def remedy(self, statement: str) -> str:
        """Return a statement that mends the expected role; another one is not to be used."""
        if self.name == self.expected:
            return statement
        return f"connect as {self.expected}, prepared by `copydesk db upgrade`"


async def read_connected(pool: MovePool, expected: str) -> Connected:
    """Return the role that a pool connects as."""
    [row] = await pool.call(_CONNECTED, expected, None)
    return Connected(expected=expected, **dict(row))


async def read_absent(pool: MovePool, name: str) -> list[Connected]:
    """Return a role as which this process does not connect; none where there is no such role."""
    rows = await pool.call(_CONNECTED, name, name)
    return [Connected(expected=name, **dict(row)) for row in rows]


def wrong_servers(roles: Sequence[Connected]) -> list[Finding]:
    """Return a finding where a server is too old, or the roles are in different databases."""
    first = roles[0]
    if first.server_version < OLDEST_SERVER:
        found = first.server_version // 10_000
        sentence = f"PostgreSQL {OLDEST_SERVER // 10_000} or newer is needed, not {found}"
        return [broken(Rule.SERVER_VERSION, "server", sentence, "upgrade PostgreSQL")]
    return [
        broken(
            Rule.DATABASES_DIFFER,
            f"role {role.name}",
            f"{role.name} and {first.name} are connected to different databases",
            "let all URLs lead to the same database of the same server",
        )
        for role in roles[1:]
        if (role.database, role.server_started) != (first.database, first.server_started)
    ]


def wrong_role(role: Connected) -> Iterator[Finding]:
    """Yield what a role is, or may, too much, apart from its privileges on tables."""
    subject = f"role {role.name}"
    declared = ROLES[role.expected]
    yield from _wrong_attributes(role)
    if role.is_superuser:
        return  # is a member of everything
    if role.expected not in role.identities:
        sentence = f"the role {role.name} is not {role.expected}, nor a member of it"
        yield broken(Rule.ROLE_WRONG, subject, sentence, role.remedy(""))
    if OWNER in role.identities:
        sentence = f"the role {role.name} is, or is a member of, {OWNER}"
        yield broken(Rule.ROLE_MEMBER, subject, sentence, role.remedy(_left(role, OWNER)))
        return  # may what the owner may
    for other in role.memberships:
        if other != role.expected and other not in declared.memberships:
            sentence = f"the role {role.name} is a member of {other}, and may what that may"
            yield broken(Rule.ROLE_MEMBER, subject, sentence, role.remedy(_left(role, other)))
    for place in role.creates:
        is_database = place.startswith("DATABASE")
        what = "schemas or temporary tables" if is_database else "objects"
        privileges = "CREATE, TEMPORARY" if is_database else "CREATE"
        sentence = f"the role {role.name} may create {what} in {place}"
        remedy = f"REVOKE {privileges} ON {place} FROM PUBLIC, {role.quoted}"
        yield broken(Rule.ROLE_CREATES, subject, sentence, remedy)
    if not role.enters:
        sentence = f"the role {role.name} has no USAGE on SCHEMA public"
        remedy = f"GRANT USAGE ON SCHEMA public TO {role.expected}"
        yield broken(Rule.PRIVILEGE_MISSING, subject, sentence, remedy)
    if owns := _owned_beside(role, declared.owns):
        sentence = f"the role {role.name} owns {_first(owns)}"
        owners = ", ".join(dict.fromkeys((role.quoted, role.expected)))
        remedy = f"REASSIGN OWNED BY {owners} TO {OWNER}"
        if declared.owns:
            remedy = f"let {OWNER} own it, or drop it"
        yield broken(Rule.ROLE_OWNS, subject, sentence, remedy)


def _wrong_attributes(role: Connected) -> Iterator[Finding]:
    for attribute in sorted(set(role.attributes) - ROLES[role.expected].attributes):
        words, without = _ATTRIBUTES[attribute]
        sentence = f"the role {role.name} {words}"
        remedy = role.remedy(f"ALTER ROLE {role.quoted} {without}")
        yield broken(Rule.ROLE_ATTRIBUTE, f"role {role.name}", sentence, remedy)


async def wrong_others(pool: MovePool, roles: Sequence[Connected]) -> list[Finding]:
    """Return a finding for each attribute of a role that can be taken, or that others rely on.

    That is the owner, and the role that a login stands for: SET ROLE gives its attributes.
    """
    names = {OWNER, *(role.expected for role in roles)} - {role.name for role in roles}
    return [
        broken(
            Rule.ROLE_ATTRIBUTE,
            f"role {row['name']}",
            f"the role {row['name']} {_ATTRIBUTES[attribute][0]}",
            f"ALTER ROLE {row['name']} {_ATTRIBUTES[attribute][1]}",
        )
        for row in await pool.call(_OTHERS, sorted(names))
        for attribute in row["attributes"]
    ]


async def wrong_members(pool: MovePool) -> list[Finding]:
    """Return a finding for each member of a role that sees rows of every project.

    A superuser may all that anyway. Whoever made a role may grant it (ADMIN), which is not told.
    """
    return [
        broken(
            Rule.ROLE_MEMBER,
            f"role {row['member']}",
            f"the role {row['member']} is a member of {row['name']}, which sees every project",
            f"REVOKE {row['name']} FROM {quoted(row['member'])}",
        )
        for row in await pool.call(_MEMBERS, sorted(SEEING))
        if row["inherits"] or (row["name"], row["member"]) not in BECOME
    ]


def quoted(name: str) -> str:
    """Return a name as SQL needs it when it may be any name."""
    return '"' + name.replace('"', '""') + '"'


def _left(role: Connected, other: str) -> str:
    if other in role.granted:
        return f"REVOKE {quoted(other)} FROM {role.quoted}"
    return f"revoke the membership through which {role.name} is a member of {other}"


def _owned_beside(role: Connected, functions: Iterable[str]) -> list[str]:
    # As its schema is named where the search_path is another.
    mine = tuple(f"function {path}{name}(" for name in functions for path in ("", "public."))
    return [what for what in role.owns if not mine or not what.startswith(mine)]


def _first(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
