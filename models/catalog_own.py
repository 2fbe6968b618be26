"""What is ours in a schema, which stands before every query of the catalog."""

from __future__ import annotations

from sqlalchemy import TextClause, text

# Relations and functions of the schema, without those of extensions. `shown` is the name.
OWN = """
WITH relations AS (
    SELECT c.*, c.oid::regclass::text AS shown, 'table ' || c.oid::regclass AS on_object
    FROM pg_class c
    WHERE c.relnamespace = CAST(quote_ident(:schema) AS regnamespace) AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), tables AS (
    SELECT * FROM relations WHERE relkind IN ('r', 'p')
), functions AS (
    SELECT p.*, p.oid::regprocedure::text AS shown, 'function ' || p.oid::regprocedure AS on_object,
           CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS word
    FROM pg_proc p
    WHERE p.pronamespace = CAST(quote_ident(:schema) AS regnamespace) AND p.prokind IN ('f', 'p')
        AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
)
"""


def reader(query: str) -> TextClause:
    """Return the query behind the names that it may use: relations, tables, functions."""
    return text(OWN + query)
