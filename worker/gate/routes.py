"""Ways round a policy: what reads or copies rows for somebody other than whoever asks.

A view reads as its owner unless it is a security_invoker; a materialized view is a copy without
policies; a rule runs as the table's owner; a trigger is shown every row that is written. What a
publication sends and what a login trigger does is an administrator's affair: a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.findings import Finding
from worker.gate.expected import DECLARED_TRIGGERS
from worker.gate.relations import MATERIALIZED, VIEW, Relation
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

Row = Mapping[str, Any]

_TRUE = ("true", "on", "yes", "1")

_TRIGGERS = """
    SELECT g.tgrelid AS relation, g.tgname::text AS bare, quote_ident(g.tgname) AS name,
           p.prosecdef AS as_owner
    FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE g.tgrelid = ANY ($1::oid[]) AND NOT g.tgisinternal
    ORDER BY g.tgrelid, g.tgname
"""

_RULES = """
    SELECT w.ev_class AS relation, quote_ident(w.rulename) AS name
    FROM pg_rewrite w WHERE w.ev_class = ANY ($1::oid[]) AND w.rulename <> '_RETURN'
    ORDER BY w.ev_class, w.rulename
"""

_PUBLICATIONS = """
    SELECT c.oid AS relation, quote_ident(p.pubname) AS name
    FROM pg_publication_tables p
        JOIN pg_namespace n ON n.nspname = p.schemaname
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    WHERE c.oid = ANY ($1::oid[])
    ORDER BY c.oid, p.pubname
"""

_LOGIN_TRIGGERS = """
    SELECT quote_ident(evtname) AS name FROM pg_event_trigger
    WHERE evtevent = 'login' AND evtenabled <> 'D' ORDER BY evtname
"""


async def ways_round(pool: MovePool, relations: Sequence[Relation]) -> list[Finding]:
    """Return a finding for each view, rule, trigger and the like that goes past the policies."""
    by_oid = {relation.oid: relation for relation in relations}
    owned = [relation.oid for relation in relations if relation.is_project_owned]
    triggers = await pool.call(_TRIGGERS, list(by_oid))
    rules = await pool.call(_RULES, list(by_oid))
    publications = await pool.call(_PUBLICATIONS, owned)
    logins = await pool.call(_LOGIN_TRIGGERS)
    return [
        *(finding for relation in relations for finding in _view(relation)),
        *(finding for row in triggers for finding in _trigger(by_oid[row["relation"]], row)),
        *(_rule(by_oid[row["relation"]].name, row["name"]) for row in rules),
        *(_publication(by_oid[row["relation"]].name, row["name"]) for row in publications),
        *(_login(row["name"]) for row in logins),
    ]


def _view(relation: Relation) -> Iterator[Finding]:
    name = relation.name
    options = dict(option.partition("=")[::2] for option in relation.options)
    if relation.kind == MATERIALIZED:
        yield broken(
            Rule.VIEW_MATERIALIZED,
            name,
            f"{name}: is a materialized view, a copy of rows that no policy protects",
            f"DROP MATERIALIZED VIEW {name}",
        )
    if relation.kind == VIEW and options.get("security_invoker", "").lower() not in _TRUE:
        yield broken(
            Rule.VIEW_AS_OWNER,
            name,
            f"{name}: is a view that reads as its owner, {relation.owner}, not as whoever asks",
            f"ALTER VIEW {name} SET (security_invoker = true)",
        )


def _trigger(table: Relation, row: Row) -> Iterator[Finding]:
    name = table.name
    if (table.declared, row["bare"]) in DECLARED_TRIGGERS:
        what = "calls a SECURITY DEFINER function" if row["as_owner"] else ""
    elif table.declared:
        what = "is not declared, and is shown every row that is written"
    else:
        what = "calls a SECURITY DEFINER function" if row["as_owner"] else ""
    if what:
        yield broken(
            Rule.TRIGGER_UNLISTED,
            name,
            f"{name}: the trigger {row['name']} {what}",
            f"DROP TRIGGER {row['name']} ON {name}",
        )


def _rule(table: str, name: str) -> Finding:
    return broken(
        Rule.RULE_UNLISTED,
        table,
        f"{table}: the rule {name} acts as the table's owner on what others write",
        f"DROP RULE {name} ON {table}",
    )


def _publication(table: str, name: str) -> Finding:
    return broken(
        Rule.PUBLICATION,
        table,
        f"{table}: the publication {name} sends rows of every project to its subscribers",
        f"DROP PUBLICATION {name}",
    )


def _login(name: str) -> Finding:
    return broken(
        Rule.LOGIN_TRIGGER,
        f"event trigger {name}",
        f"event trigger {name}: runs in every new session, before copydesk does",
        f"DROP EVENT TRIGGER {name}",
    )
