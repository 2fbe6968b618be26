"""The catalog queries that tell who owns what, and who may do what; see `models.catalog`."""

from __future__ import annotations

from models.catalog_own import reader

# Whoever is handed a function has to be allowed to create one in its schema, at that moment.
OWNERS = reader("""
SELECT 'owner of ' || on_object AS name, on_object, '{}'::text[] AS unmade,
       CASE WHEN word = 'FUNCTION' AND role <> quote_ident(current_user)
            THEN ARRAY['GRANT CREATE ON SCHEMA public TO ' || role, change,
                       'REVOKE CREATE ON SCHEMA public FROM ' || role]
            ELSE ARRAY[change] END AS made
FROM (
    SELECT on_object, shown, relowner, CASE relkind WHEN 'v' THEN 'VIEW'
        WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END
    FROM relations WHERE relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    SELECT on_object, shown, proowner, word FROM functions
) AS owned (on_object, shown, owner, word)
    CROSS JOIN LATERAL (
        SELECT quote_ident(pg_get_userbyid(owner)),
               format('ALTER %s %s OWNER TO %I', word, shown, pg_get_userbyid(owner))
    ) AS told (role, change)
""")

# All that one role holds on one object, columns included, since revoking from a table takes the
# privileges on its columns along. What the owner may do is left out: it can always have it back.
GRANTS = reader("""
, held AS (
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS word, c.shown,
           coalesce('table ' || d.refobjid::regclass, c.on_object) AS on_object,
           NULL::name AS field, x.grantee, x.privilege_type, x.is_grantable, c.relowner AS owner
    FROM relations c
        LEFT JOIN pg_depend d ON c.relkind = 'S' AND d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')
        CROSS JOIN aclexplode(c.relacl) x
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'TABLE', c.shown, c.on_object, a.attname, x.grantee, x.privilege_type, x.is_grantable,
           c.relowner
    FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
        CROSS JOIN aclexplode(a.attacl) x
    UNION ALL
    SELECT p.word, p.shown, p.on_object, NULL, x.grantee, x.privilege_type, x.is_grantable,
           p.proowner
    FROM functions p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
), listed AS (
    SELECT word, shown, on_object, grantee, is_grantable, privilege_type
               || coalesce(' (' || string_agg(quote_ident(field), ', ' ORDER BY field) || ')', '')
               AS privilege
    FROM held WHERE grantee <> owner
    GROUP BY word, shown, on_object, grantee, is_grantable, privilege_type, field IS NULL
), granted AS (
    SELECT word, shown, on_object, is_grantable, coalesce(quote_ident(r.rolname), 'PUBLIC') AS role,
           string_agg(privilege, ', ' ORDER BY privilege) AS privileges
    FROM listed LEFT JOIN pg_roles r ON r.oid = grantee
    GROUP BY word, shown, on_object, is_grantable, r.rolname
)
SELECT format('grants on %s %s to %s', lower(word), shown, role) AS name, on_object,
       array_agg(format('GRANT %s ON %s %s TO %s', privileges, word, shown, role)
           || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
           ORDER BY is_grantable) AS made,
       ARRAY[format('REVOKE ALL ON %s %s FROM %s', word, shown, role)] AS unmade
FROM granted GROUP BY word, shown, on_object, role
""")
