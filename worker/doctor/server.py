"""Versions and settings: what PostgreSQL has to be like for copydesk's promises to hold."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any

from models.roles import TIMEOUTS
from worker.doctor.durability import Setting, not_durable, server_remedy
from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import duration, size
from worker.findings import Examination, Finding
from worker.gate.roles import OLDEST_SERVER
from worker.gate.rules import Rule as GateRule
from worker.gate.rules import broken as broken_in_gate

# What a new session has. This one has time limits of its own, which hide where the usual ones come
# from.
_SETTINGS = """
    SELECT name, reset_val AS value, context,
           CASE WHEN EXISTS (
               SELECT FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS each (setting)
                   JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database()
                   JOIN pg_roles r ON r.oid = s.setrole AND r.rolname = current_user
               WHERE split_part(each.setting, '=', 1) = name) THEN 'database user'
           ELSE source END AS source
    FROM pg_settings WHERE name = ANY ($1)
"""

_NAMES = (
    *("archive_mode", "autovacuum", "data_checksums", "default_transaction_read_only"),
    *("enable_seqscan", "fsync", "full_page_writes", "io_method", "lock_timeout"),
    *("idle_in_transaction_session_timeout", "idle_session_timeout", "shared_buffers"),
    *("statement_timeout", "synchronous_commit", "track_counts", "transaction_timeout"),
    "wal_level",
)

_SERVER = """
    SELECT current_setting('server_version_num')::int AS version,
           split_part(current_setting('server_version'), ' ', 1) AS words,
           current_setting('block_size')::int AS block,
           quote_ident(current_database()) AS database,
           pg_database_size(current_database()) AS size,
           pg_is_in_recovery() AS is_standby
"""

_ROLE = "SELECT current_user::text AS name, quote_ident(current_user) AS quoted"

_SAME_AS_VERSION = 10_000


async def settings(site: Site) -> Examination:
    """Check the versions, and the settings that durability, upkeep and time limits rest on."""
    [server] = await site.app.call(_SERVER)
    names = [f"PostgreSQL {server['words']}", f"Python {platform.python_version()}"]
    if server["version"] < OLDEST_SERVER:
        return Examination("settings", [too_old(server["version"])], {}, names)
    by_role = {}
    for pool in site.pools.values():
        [role] = await pool.call(_ROLE)
        by_role[role["quoted"]] = {
            row["name"]: Setting(row["value"], row["source"], row["context"])
            for row in await pool.call(_SETTINGS, [*_NAMES])
        }
    app = next(iter(by_role.values()))
    findings = [
        *await not_durable(site.app, by_role),
        *_read_only(by_role, is_standby=server["is_standby"]),
        *judge_upkeep(app),
        *_sizes(site, app, server),
    ]
    for role, of_role in by_role.items():
        findings += _timeouts(site, role, of_role, server["database"])
        findings += _scans(role, of_role, server["database"])
    buffers = int(app["shared_buffers"].value) * server["block"]
    facts = [*names, f"database {size(server['size'])}", f"shared_buffers {size(buffers)}"]
    return Examination("settings", findings, {"settings": sorted(app)}, facts)


def too_old(version: int) -> Finding:
    """Return the finding that a server of this version is too old to be looked at."""
    found, oldest = version // _SAME_AS_VERSION, OLDEST_SERVER // _SAME_AS_VERSION
    sentence = f"PostgreSQL {oldest} or newer is needed, not {found}"
    return broken_in_gate(GateRule.SERVER_VERSION, "server", sentence, "upgrade PostgreSQL")


def _read_only(
    by_role: Mapping[str, Mapping[str, Setting]], *, is_standby: bool
) -> Iterator[Finding]:
    if is_standby:
        yield broken(
            Rule.SERVER_READ_ONLY,
            "server",
            "the URLs lead to a standby, which takes no writes",
            "let the URLs lead to the primary",
        )
        return
    for role, of_role in by_role.items():
        if of_role["default_transaction_read_only"].value == "on":
            yield broken(
                Rule.SERVER_READ_ONLY,
                f"role {role}",
                f"transactions of {role} are read-only by default: it cannot move anything",
                "reset default_transaction_read_only, for this role, its database, or the server",
            )


def judge_upkeep(app: Mapping[str, Setting]) -> Iterator[Finding]:
    """Yield what of autovacuum, checksums and reading is switched off."""
    for name in ("autovacuum", "track_counts"):
        if app[name].value == "off":
            yield broken(
                Rule.AUTOVACUUM_OFF,
                "server",
                f"{name} is off: tables grow without end, and plans go by old statistics",
                server_remedy(name, "on", app[name]),
            )
    if app["data_checksums"].value == "off":
        yield broken(
            Rule.CHECKSUMS_OFF,
            "server",
            "data checksums are off: a page that the disk has damaged is not noticed",
            "run `pg_checksums --enable` while PostgreSQL is stopped",
        )
    # Before 18 there is no such setting, and the version has been told.
    if app["io_method"].value == "sync":
        yield broken(
            Rule.IO_SYNCHRONOUS,
            "server",
            "io_method is sync: reads wait for the disk one after the other",
            server_remedy("io_method", "worker", app["io_method"]),
        )


def _sizes(site: Site, app: Mapping[str, Setting], server: Mapping[str, Any]) -> Iterator[Finding]:
    usual, times = site.limits.buffers
    buffers = int(app["shared_buffers"].value) * server["block"]
    if buffers <= usual and server["size"] > times * buffers:
        yield broken(
            Rule.SHARED_BUFFERS_SMALL,
            "server",
            f"shared_buffers is {size(buffers)}, and the database {size(server['size'])}",
            "set shared_buffers to a quarter of the server's memory, and start PostgreSQL again",
        )
    if site.settings.environment == "production" and app["archive_mode"].value == "off":
        yield broken(
            Rule.ARCHIVING_OFF,
            "server",
            f"WAL is not archived (archive_mode is off, wal_level {app['wal_level'].value}): "
            "a backup restores the moment it was made, and no later one",
            "set archive_mode = on with an archive_command, unless WAL is kept in another way",
        )


def _timeouts(
    site: Site, role: str, of_role: Mapping[str, Setting], database: str
) -> Iterator[Finding]:
    least, idle = site.limits.statement_timeout, site.limits.session_idle
    for name, value in TIMEOUTS.items():
        if _seconds(of_role[name]) == 0:
            yield broken(
                Rule.TIMEOUT_MISSING,
                f"role {role}",
                f"{name} of {role} is 0: a process that hangs holds its locks for ever",
                _role_remedy(role, database, name, value, of_role[name]),
            )
    for name, shortest, harm in (
        ("statement_timeout", least, "moves of many or large executions are cut off"),
        ("transaction_timeout", least, "moves of many or large executions are cut off"),
        (
            "idle_session_timeout",
            idle,
            "connections of the pools are cut, and a life's lock is lost",
        ),
    ):
        seconds = _seconds(of_role[name])
        if 0 < seconds < shortest:
            better = TIMEOUTS.get(name, "0")
            yield broken(
                Rule.TIMEOUT_SHORT,
                f"role {role}",
                f"{name} of {role} is {duration(seconds)}: {harm}",
                _role_remedy(role, database, name, better, of_role[name]),
            )


def _scans(role: str, of_role: Mapping[str, Setting], database: str) -> Iterator[Finding]:
    setting = of_role["enable_seqscan"]
    if setting.value == "on":
        yield broken(
            Rule.SCANS_ALLOWED,
            f"role {role}",
            f"enable_seqscan of {role} is on: a plan that was made for small tables may read "
            "those of all projects from end to end",
            _role_remedy(role, database, "enable_seqscan", "off", setting),
        )


def _role_remedy(role: str, database: str, name: str, value: str, setting: Setting) -> str:
    match setting.source:
        case "database user":
            return f"ALTER ROLE {role} IN DATABASE {database} RESET {name}"
        case "client":
            return f"take {name} out of the URL"
        case _:
            return f"ALTER ROLE {role} SET {name} = '{value}'"


def _seconds(setting: Setting) -> float:
    return int(setting.value) / 1000
