"""Functions: who may call those of the models, and which would show more than their caller may see.

A SECURITY DEFINER function runs as its owner: without a fixed search_path its names mean what the
caller wants them to mean, and with an owner whom no policy binds it reads every project. One that
runs as a role with a policy of its own across projects has to be listed. A function
that is marked LEAKPROOF is evaluated before the policies, on rows of every project. One in an
untrusted language does as the server's own user does, and that user can read the data files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.functions import ORDER
from worker.findings import Finding
from worker.gate.expected import DEFINERS, EXEMPTIONS, ROLES
from worker.gate.roles import Connected
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

Row = Mapping[str, Any]

# PostgreSQL's own functions behind the operators of GIN indexes and patterns. None is leakproof; to
# mark one so is often advised, since it makes such an index usable under a policy.
_NOT_LEAKPROOF = (
    "arraycontains",
    "arrayoverlap",
    "jsonb_contained",
    "jsonb_contains",
    "jsonb_exists",
    "jsonb_exists_all",
    "jsonb_exists_any",
    "jsonb_path_exists_opr",
    "jsonb_path_match_opr",
    "texticlike",
    "texticregexeq",
    "textlike",
    "textregexeq",
    "ts_match_vq",
)

# $1: roles; $2: functions of the models; $3: what must not be leakproof; $4: roles that see rows of
# every project. The first oid that is not PostgreSQL's own is 16384; what belongs to an extension
# was compiled by somebody who is trusted.
_FUNCTIONS = """
    WITH untrusted AS (
        SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.oid >= 16384 AND NOT l.lanpltrusted AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    )
    SELECT p.proname::text AS bare,
           n.nspname = 'public' AND p.proname = ANY ($2::text[]) AS declared,
           CASE WHEN n.nspname = 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END
               || format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
           p.prosecdef AS as_owner, o.rolname::text AS owner,
           o.rolsuper OR o.rolbypassrls AS owner_sees_everything,
           EXISTS (SELECT FROM pg_roles x WHERE x.rolname = ANY ($4::text[])
                       AND pg_has_role(o.oid, x.oid, 'USAGE')) AS owner_sees_some,
           EXISTS (SELECT FROM unnest(p.proconfig) AS each (setting)
                   WHERE each.setting LIKE 'search_path=%') AS pinned,
           EXISTS (SELECT FROM unnest(p.proconfig) AS each (setting)
                   WHERE lower(each.setting) LIKE 'app.project_id=%') AS binds,
           p.oid IN (SELECT oid FROM untrusted) AS untrusted,
           p.proleakproof AND (p.oid >= 16384 OR p.proname = ANY ($3::text[])) AS leakproof,
           ARRAY(SELECT r.oid FROM unnest($1::oid[]) AS r (oid)
                 WHERE has_function_privilege(r.oid, p.oid, 'EXECUTE')
                     AND has_schema_privilege(r.oid, n.oid, 'USAGE')) AS callers,
           EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
                   WHERE x.grantee = 0) AS open_to_public
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        JOIN pg_roles o ON o.oid = p.proowner
    WHERE n.nspname = 'public' AND p.proname = ANY ($2::text[]) OR p.prosecdef
        OR lower(p.proconfig::text) LIKE '%app.project_id=%'
        OR p.oid IN (SELECT oid FROM untrusted)
        OR p.proleakproof AND (p.oid >= 16384 OR p.proname = ANY ($3::text[]))
    ORDER BY name
"""


async def wrong_functions(pool: MovePool, roles: Sequence[Connected]) -> list[Finding]:
    """Return a finding for each function that shows too much, or to the wrong role, or to none."""
    rows = await pool.call(
        _FUNCTIONS,
        [role.oid for role in roles],
        list(ORDER),
        list(_NOT_LEAKPROOF),
        sorted({each.role for each in EXEMPTIONS}),
    )
    return [finding for row in rows for finding in _wrong(row, roles)]


def _wrong(row: Row, roles: Sequence[Connected]) -> Iterator[Finding]:
    name = row["name"]
    subject = f"function {name}"
    if row["declared"]:
        yield from _callers(row, roles)
    if row["leakproof"]:
        yield broken(
            Rule.FUNCTION_LEAKPROOF,
            subject,
            f"{subject}: is marked LEAKPROOF, so it is shown rows before a policy hides them",
            f"ALTER FUNCTION {name} NOT LEAKPROOF",
        )
    if row["binds"]:
        yield broken(
            Rule.SCOPE_DEFAULT,
            subject,
            f"{subject}: sets app.project_id for itself; there is no default project",
            f"ALTER ROUTINE {name} RESET app.project_id",
        )
    if row["callers"]:
        callers = ", ".join(role.name for role in roles if role.oid in row["callers"])
        yield from _too_strong(row, subject, callers)


def _too_strong(row: Row, subject: str, callers: str) -> Iterator[Finding]:
    name = row["name"]
    if row["untrusted"]:
        yield broken(
            Rule.FUNCTION_UNTRUSTED,
            subject,
            f"{subject}: is in an untrusted language; {callers} may call it",
            f"REVOKE EXECUTE ON ROUTINE {name} FROM PUBLIC, {callers}",
        )
    if not row["as_owner"]:
        return
    if not row["pinned"]:
        why = "is SECURITY DEFINER without a fixed search_path"
    elif row["owner_sees_everything"]:
        why = f"runs as {row['owner']}, whom no policy binds"
    elif row["owner_sees_some"] and not (row["declared"] and row["bare"] in DEFINERS):
        why = f"runs as {row['owner']}, who sees rows of every project, and is not listed"
    else:
        return
    yield broken(
        Rule.FUNCTION_AS_OWNER,
        subject,
        f"{subject}: {why}; {callers} may call it",
        f"ALTER ROUTINE {name} SECURITY INVOKER",
    )


def _callers(row: Row, roles: Sequence[Connected]) -> Iterator[Finding]:
    name = row["name"]
    subject = f"function {name}"
    if row["open_to_public"]:
        sentence = f"{subject}: everybody (PUBLIC) may call it"
        remedy = f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC"
        yield broken(Rule.PRIVILEGE_PUBLIC, subject, sentence, remedy)
    for role in roles:
        may, should = role.oid in row["callers"], row["bare"] in ROLES[role.expected].functions
        if may and not should and not row["open_to_public"]:
            sentence = f"{subject}: {role.name} may call it, and must not"
            remedy = f"REVOKE EXECUTE ON FUNCTION {name} FROM {role.expected}"
            yield broken(Rule.PRIVILEGE_EXCESS, subject, sentence, remedy)
        if should and not may:
            sentence = f"{subject}: {role.name} may not call it"
            remedy = f"GRANT EXECUTE ON FUNCTION {name} TO {role.expected}"
            yield broken(Rule.PRIVILEGE_MISSING, subject, sentence, remedy)
