"""Privileges on what is no table of ours: PostgreSQL's own objects, parameters, and the future's.

The running roles need none of them. A grant leaves its trace wherever it was made, so whatever an
object's kind is, it is found.
"""

from __future__ import annotations

from collections.abc import Sequence

from worker.findings import Finding
from worker.gate.relations import Relation
from worker.gate.roles import Connected
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

# What is granted to the roles by name. Relations in reach are judged one by one; on schemas and the
# database USAGE, CONNECT are harmless, CREATE and TEMPORARY are judged with the role; functions of
# others run as their caller, unless they are SECURITY DEFINER.
_BY_NAME = """
    SELECT DISTINCT pg_get_userbyid(s.refobjid)::text AS holder,
           pg_describe_object(s.classid, s.objid, s.objsubid) AS object
    FROM pg_shdepend s
    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ANY ($1::oid[]) AND s.deptype = 'a'
        AND s.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND NOT (s.classid = 'pg_class'::regclass AND s.objid = ANY ($2::oid[]))
        AND NOT (s.classid = 'pg_proc'::regclass AND s.objid >= 16384)
        AND s.classid NOT IN ('pg_namespace'::regclass, 'pg_database'::regclass,
                              'pg_type'::regclass, 'pg_default_acl'::regclass,
                              'pg_largeobject'::regclass)
    ORDER BY 1, 2
"""

# What is granted to everybody and was not when the cluster was made.
_TO_PUBLIC = """
    SELECT 'parameter ' || p.parname AS object
    FROM pg_parameter_acl p CROSS JOIN aclexplode(p.paracl) AS x WHERE x.grantee = 0
    UNION
    SELECT 'foreign server ' || quote_ident(s.srvname)
    FROM pg_foreign_server s CROSS JOIN aclexplode(s.srvacl) AS x WHERE x.grantee = 0
    UNION
    SELECT 'foreign-data wrapper ' || quote_ident(w.fdwname)
    FROM pg_foreign_data_wrapper w CROSS JOIN aclexplode(w.fdwacl) AS x WHERE x.grantee = 0
    UNION
    SELECT pg_describe_object(system.class, system.oid, system.part)
    FROM (
        SELECT 'pg_proc'::regclass AS class, p.oid, 0 AS part, p.proacl AS acl
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proacl IS NOT NULL
        UNION ALL
        SELECT 'pg_class'::regclass, c.oid, 0, c.relacl
        FROM pg_class c
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relacl IS NOT NULL
        UNION ALL
        SELECT 'pg_class'::regclass, a.attrelid, a.attnum, a.attacl
        FROM pg_attribute a WHERE a.attrelid < 16384 AND a.attacl IS NOT NULL
    ) AS system CROSS JOIN aclexplode(system.acl) AS x
    WHERE x.grantee = 0 AND NOT EXISTS (
        SELECT FROM pg_init_privs i CROSS JOIN aclexplode(i.initprivs) AS y
        WHERE i.classoid = system.class AND i.objoid = system.oid AND i.objsubid = system.part
            AND y.grantee = 0 AND y.privilege_type = x.privilege_type)
    ORDER BY 1
"""

# What tables, sequences and so on of the future will be open to. That functions are open to
# everybody is PostgreSQL's own default, and no move relies on it. The running roles make nothing.
_DEFAULTS = """
    SELECT DISTINCT quote_ident(pg_get_userbyid(d.defaclrole)) AS maker,
           x.privilege_type AS privilege, coalesce(quote_ident(r.rolname), 'PUBLIC') AS holder,
           CASE WHEN d.defaclnamespace <> 0
                THEN ' IN SCHEMA ' || d.defaclnamespace::regnamespace ELSE '' END AS place,
           CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
               WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
               ELSE 'LARGE OBJECTS' END AS kind
    FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) AS x
        LEFT JOIN pg_roles r ON r.oid = x.grantee
    WHERE d.defaclrole <> ALL ($1::oid[]) AND (
        x.grantee = ANY ($1::oid[]) OR x.grantee = 0 AND d.defaclobjtype NOT IN ('f', 'T'))
    ORDER BY 1, 2
"""

# Everybody may make large objects, and they know no project.
_LARGE_OBJECTS = """
    SELECT count(*) AS number FROM pg_largeobject_metadata l
    WHERE l.lomowner = ANY ($1::oid[]) OR EXISTS (
        SELECT FROM aclexplode(l.lomacl) AS x WHERE x.grantee = 0 OR x.grantee = ANY ($1::oid[]))
"""


async def privileges_elsewhere(
    pool: MovePool, roles: Sequence[Connected], relations: Sequence[Relation]
) -> list[Finding]:
    """Return a finding for each privilege that no role of copydesk needs."""
    oids = [oid for role in roles for oid in role.grantees]
    findings = [
        broken(
            Rule.PRIVILEGE_ELSEWHERE,
            f"role {row['holder']}",
            f"the role {row['holder']} holds privileges on {row['object']}",
            f"revoke them from {row['holder']}",
        )
        for row in await pool.call(_BY_NAME, oids, [relation.oid for relation in relations])
    ]
    findings += [
        broken(
            Rule.PRIVILEGE_ELSEWHERE,
            row["object"],
            f"{row['object']}: everybody (PUBLIC) holds privileges on it, which is not the default",
            "revoke them from PUBLIC",
        )
        for row in await pool.call(_TO_PUBLIC)
    ]
    findings += [
        broken(
            Rule.PRIVILEGE_DEFAULT,
            f"role {row['maker']}",
            f"{row['holder']} gets {row['privilege']} on {row['kind']} that {row['maker']} makes",
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {row['maker']}{row['place']} "
            f"REVOKE {row['privilege']} ON {row['kind']} FROM {row['holder']}",
        )
        for row in await pool.call(_DEFAULTS, oids)
    ]
    [large] = await pool.call(_LARGE_OBJECTS, oids)
    if large["number"]:
        findings.append(
            broken(
                Rule.LARGE_OBJECT,
                "large objects",
                f"large objects: {large['number']} of them are open to every project alike",
                "look who made them, and remove them with lo_unlink",
            )
        )
    return findings
