"""What the running roles may do with tables, columns and sequences: exactly what is declared.

Effective privileges count, however a role came by them: by a grant to itself, to PUBLIC, or to a
role it is a member of. Who holds the grant stands in the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.findings import Finding
from worker.gate.expected import ROLES, Columns
from worker.gate.policies import PUBLIC
from worker.gate.relations import SEQUENCE, Relation
from worker.gate.roles import Connected, quoted
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

# $1: roles; $2: relations. Of what can be granted by column, the columns are told.
_HELD = """
    WITH held AS (
        SELECT r.oid AS role, c.oid AS relation, p.privilege, NULL::text AS column,
               has_table_privilege(r.oid, c.oid, p.privilege || ' WITH GRANT OPTION') AS grantable,
               c.relacl AS acl
        FROM unnest($1::oid[]) AS r (oid) CROSS JOIN pg_class c
            CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER', 'MAINTAIN']) AS p (privilege)
        WHERE c.oid = ANY ($2::oid[]) AND c.relkind <> 'S'
            AND has_table_privilege(r.oid, c.oid, p.privilege)
        UNION ALL
        SELECT r.oid, c.oid, p.privilege, a.attname::text,
               has_column_privilege(r.oid, c.oid, a.attnum, p.privilege || ' WITH GRANT OPTION'),
               coalesce(c.relacl, '{}') || coalesce(a.attacl, '{}'::aclitem[])
        FROM unnest($1::oid[]) AS r (oid) CROSS JOIN pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p (privilege)
        WHERE c.oid = ANY ($2::oid[]) AND c.relkind <> 'S'
            AND has_column_privilege(r.oid, c.oid, a.attnum, p.privilege)
        UNION ALL
        SELECT r.oid, c.oid, p.privilege, NULL,
               has_sequence_privilege(r.oid, c.oid, p.privilege || ' WITH GRANT OPTION'), c.relacl
        FROM unnest($1::oid[]) AS r (oid) CROSS JOIN pg_class c
            CROSS JOIN unnest(ARRAY['SELECT', 'USAGE', 'UPDATE']) AS p (privilege)
        WHERE c.oid = ANY ($2::oid[]) AND CASE WHEN c.relkind = 'S'
            THEN has_sequence_privilege(r.oid, c.oid, p.privilege) END
    ), given AS (
        SELECT held.role, held.relation, held.privilege, held.column, held.grantable,
               CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(g.rolname) END AS grantee
        FROM held LEFT JOIN LATERAL aclexplode(held.acl) AS x
                ON x.privilege_type = held.privilege
                    AND (x.grantee = 0 OR pg_has_role(held.role, x.grantee, 'MEMBER'))
            LEFT JOIN pg_roles g ON g.oid = x.grantee
    )
    SELECT role, relation, privilege, bool_or(grantable) AS grantable,
           array_remove(array_agg(DISTINCT "column"), NULL) AS columns,
           array_remove(array_agg(DISTINCT grantee), NULL) AS grantees
    FROM given GROUP BY role, relation, privilege ORDER BY relation, role, privilege
"""

_BY_COLUMN = frozenset({"SELECT", "INSERT", "UPDATE", "REFERENCES"})


async def wrong_privileges(
    pool: MovePool, roles: Sequence[Connected], relations: Sequence[Relation]
) -> list[Finding]:
    """Return a finding for each privilege on a table or sequence that is not as declared."""
    judged = [each for each in relations if _is_judged(each)]
    rows = await pool.call(
        _HELD, [role.oid for role in roles], [relation.oid for relation in judged]
    )
    held = {(row["role"], row["relation"], row["privilege"]): row for row in rows}
    findings: list[Finding] = []
    for relation in judged:
        mine = [row for row in rows if row["relation"] == relation.oid]
        findings += _public(
            relation, {row["privilege"] for row in mine if PUBLIC in row["grantees"]}
        )
        for role in roles:
            expected = _expected(role, relation)
            for row in mine:
                if row["role"] == role.oid:
                    findings += _too_much(role, relation, row, expected)
            for privilege, columns in expected.items() if relation.declared else ():
                row = held.get((role.oid, relation.oid, privilege))
                if row is None or columns - set(row["columns"]):
                    has = frozenset(row["columns"] if row else ())
                    findings.append(_too_little(role, relation, privilege, columns - has))
    return findings


def _is_judged(relation: Relation) -> bool:
    return relation.kind == SEQUENCE or (
        relation.is_table and (relation.declared is not None or relation.is_project_owned)
    )


def _expected(role: Connected, relation: Relation) -> Mapping[str, frozenset[str]]:
    """Return the privileges a role must have, or may have, with the columns of those by column."""
    declared = ROLES[role.expected]
    if relation.kind == SEQUENCE:
        return dict.fromkeys(declared.sequences, frozenset())
    granted: Mapping[str, Columns] = (
        declared.tables.get(relation.declared, {})
        if relation.declared
        else dict.fromkeys(declared.others)
    )
    return {
        privilege: (relation.columns if columns is None else columns)
        if privilege in _BY_COLUMN
        else frozenset()
        for privilege, columns in granted.items()
    }


def _public(relation: Relation, privileges: set[str]) -> Iterator[Finding]:
    for privilege in sorted(privileges):
        yield broken(
            Rule.PRIVILEGE_PUBLIC,
            relation.name,
            f"{relation.name}: everybody (PUBLIC) has {privilege} on it",
            f"REVOKE {privilege} ON {_as_object(relation)} FROM PUBLIC",
        )


def _too_much(
    role: Connected,
    relation: Relation,
    row: Mapping[str, Any],
    expected: Mapping[str, frozenset[str]],
) -> Iterator[Finding]:
    if relation.owner in role.identities:
        return  # an owner has them all, which ends with the ownership
    privilege, name = row["privilege"], relation.name
    over = frozenset(row["columns"]) - expected.get(privilege, frozenset())
    givers = [each for each in row["grantees"] if each != PUBLIC]
    if (over or privilege not in expected) and (givers or not row["grantees"]):
        if not givers:
            remedy = f"take away the membership that gives it to {role.name}"
        elif set(row["columns"]) < relation.columns and privilege in _BY_COLUMN:
            remedy = _revoked(relation, f"{privilege}{_sql(over)}", givers)
        else:
            remedy = _revoked(relation, privilege, givers)
            if privilege in expected:
                # What was granted on the table takes the declared columns along when it goes.
                again = f"{privilege}{_sql(expected[privilege])}"
                remedy += f"; GRANT {again} ON {name} TO {role.expected}"
        what = _what(privilege, relation, over)
        sentence = f"{name}: {role.name} has {what} on it, and must not"
        yield broken(Rule.PRIVILEGE_EXCESS, name, sentence, remedy)
    if row["grantable"]:
        yield broken(
            Rule.PRIVILEGE_GRANTABLE,
            name,
            f"{name}: {role.name} may grant {privilege} on it to others",
            f"REVOKE GRANT OPTION FOR {privilege} ON {_as_object(relation)} "
            f"FROM {', '.join(givers) or role.quoted} CASCADE",
        )


def _too_little(
    role: Connected, relation: Relation, privilege: str, columns: frozenset[str]
) -> Finding:
    columns = frozenset() if columns == relation.columns else columns
    return broken(
        Rule.PRIVILEGE_MISSING,
        relation.name,
        f"{relation.name}: {role.name} has no {_what(privilege, relation, columns)} on it",
        f"GRANT {privilege}{_sql(columns)} ON {relation.name} TO {role.expected}",
    )


def _what(privilege: str, relation: Relation, columns: frozenset[str]) -> str:
    """Return a privilege with its columns, where it is not on all of them."""
    if not columns or columns == relation.columns:
        return privilege
    return f"{privilege} ({', '.join(sorted(columns))})"


def _sql(columns: frozenset[str]) -> str:
    return f" ({', '.join(quoted(name) for name in sorted(columns))})" if columns else ""


def _revoked(relation: Relation, what: str, givers: list[str]) -> str:
    return f"REVOKE {what} ON {_as_object(relation)} FROM {', '.join(givers)}"


def _as_object(relation: Relation) -> str:
    return f"SEQUENCE {relation.name}" if relation.kind == SEQUENCE else relation.name
