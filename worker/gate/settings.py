"""Settings: no default project anywhere, and none that changes what a statement means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from worker.findings import Finding
from worker.gate.roles import Connected
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

# Settings of this database, of roles in it, and of roles everywhere.
_SETTINGS = """
    SELECT s.setrole AS role, split_part(each.setting, '=', 1) AS name,
           concat_ws(' IN ', CASE WHEN s.setrole <> 0 THEN 'ROLE ' || quote_ident(r.rolname) END,
               CASE WHEN s.setdatabase <> 0 THEN 'DATABASE ' || quote_ident(d.datname)
                    WHEN s.setrole = 0 THEN 'ROLE ALL' END) AS place
    FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS each (setting)
        LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE s.setdatabase = 0 OR d.datname = current_database()
    ORDER BY place, name
"""

_SCOPE = "app.project_id"

# What a setting of a role or a database must not touch, and what it would do.
_UNSAFE = {
    "row_security": "makes every statement on protected tables fail",
    "search_path": "lets names mean other tables",
    "session_replication_role": "switches foreign keys off",
    "session_preload_libraries": "loads code into every session",
    "local_preload_libraries": "loads code into every session",
    "role": "makes sessions begin as another role",
}
_USUAL = {"row_security": "on", "session_replication_role": "origin", "search_path": "public"}


async def wrong_settings(
    pool: MovePool, roles: Sequence[Connected], absent: Sequence[Connected]
) -> list[Finding]:
    """Return a finding for each default of the scope, and each setting that is not safe.

    Args:
        pool: any connections.
        roles: as their own connections show them.
        absent: as others' connections show them.
    """
    judged = {0, *(role.oid for role in (*roles, *absent))}
    findings = []
    explained = set()
    for row in await pool.call(_SETTINGS):
        name, place = row["name"].lower(), row["place"]
        remedy = f"ALTER {place} RESET {row['name']}"
        if name == _SCOPE:
            sentence = f"{_SCOPE} has a default, for {place}: there is no default project"
            findings.append(broken(Rule.SCOPE_DEFAULT, place, sentence, remedy))
        elif name in _UNSAFE and row["role"] in judged:
            sentence = f"{name} is set for {place}, which {_UNSAFE[name]}"
            findings.append(broken(Rule.SETTING_UNSAFE, place, sentence, remedy))
        else:
            continue
        explained.add(name)
    return [*findings, *(each for role in roles for each in _live_settings(role, explained))]


def _live_settings(role: Connected, explained: set[str]) -> Iterator[Finding]:
    """Yield what a new connection shows, whatever put it there."""
    subject = f"role {role.name}"
    remedy = "take it out of the URL, the server's configuration, or a login trigger"
    if role.scope and _SCOPE not in explained:
        sentence = f"{_SCOPE} has a default on new connections of {role.name}"
        yield broken(Rule.SCOPE_DEFAULT, subject, sentence, remedy)
    is_now = {
        "row_security": role.row_security,
        "session_replication_role": role.session_replication_role,
        "search_path": role.search_path,
    }
    for name, usual in _USUAL.items():
        if name == "search_path" and not role.enters:
            continue  # says the same once more
        if is_now[name] != usual and name not in explained:
            sentence = f"{name} of {role.name} is {is_now[name] or 'empty'}, not {usual}"
            yield broken(Rule.SETTING_UNSAFE, subject, sentence, remedy)
