"""What holds PostgreSQL back: old transactions, prepared ones, and WAL that is kept for nobody.

An old transaction keeps vacuum from removing what it might still read, in every table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from worker.doctor.limits import Limits
from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import counted, duration, size
from worker.findings import Examination, Finding

# Other roles' sessions show without their times to whoever does not read all statistics.
_SESSIONS = """
    SELECT pid, usename::text AS role, state LIKE 'idle in transaction%' AS is_idle,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS idle_seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        AND state <> 'idle' AND backend_type = 'client backend'
    ORDER BY xact_start
"""

_PREPARED = """
    SELECT gid, quote_literal(gid) AS literal, owner::text AS owner,
           extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
    FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared
"""

_SLOTS = """
    SELECT slot_name::text AS name, wal_status, quote_literal(slot_name) AS literal,
           coalesce(pg_wal_lsn_diff(here.lsn, restart_lsn), 0)::bigint AS held
    FROM pg_replication_slots
        CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                ELSE pg_current_wal_lsn() END AS lsn) AS here
    WHERE NOT active ORDER BY held DESC
"""

_STANDBYS = """
    SELECT pid, usename::text AS role, state IS NULL AS is_hidden,
           CASE WHEN NOT pg_is_in_recovery() THEN coalesce(pg_wal_lsn_diff(
               pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn, sent_lsn)), 0) END::bigint
               AS behind
    FROM pg_stat_replication ORDER BY behind DESC NULLS LAST
"""


async def transactions(site: Site) -> Examination:
    """Look for transactions, slots and standbys that hold up vacuum or WAL."""
    observer = await site.observer()
    eyes = observer.eyes
    findings: list[Finding] = []
    sessions = await eyes.call(_SESSIONS)
    for session in sessions:
        findings += judge_session(site.limits, session)
    for prepared in await eyes.call(_PREPARED):
        findings += judge_prepared(site.limits, prepared)
    slots = await eyes.call(_SLOTS)
    for slot in slots:
        findings += judge_slot(site.limits, slot)
    standbys = await eyes.call(_STANDBYS)
    for standby in standbys:
        findings += judge_standby(site.limits, standby)
    if not observer.reads_statistics:
        what = "transactions of sessions of other roles"
        if any(standby["is_hidden"] for standby in standbys):
            what += ", and how far standbys are behind"
        findings.append(observer.cannot_see("transactions", what))
    oldest = max((session["seconds"] for session in sessions), default=None)
    facts = [
        f"oldest transaction {duration(oldest)}" if oldest is not None else "none open",
        counted(len(standbys), "standby") if len(standbys) == 1 else f"{len(standbys)} standbys",
    ]
    return Examination("transactions", findings, {"seen_by": [observer.name]}, facts)


def judge_session(limits: Limits, session: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether a session holds a transaction for too long."""
    subject = f"session {session['pid']}"
    whose = f"the session {session['pid']} of {session['role']}"
    remedy = f"SELECT pg_terminate_backend({session['pid']})"
    if session["is_idle"] and session["idle_seconds"] > limits.idle:
        idle = duration(session["idle_seconds"])
        sentence = (
            f"{whose} is idle in a transaction since {idle}: it holds its locks and keeps vacuum up"
        )
        yield broken(Rule.TRANSACTION_IDLE, subject, sentence, remedy)
    elif session["seconds"] > limits.transaction:
        age = duration(session["seconds"])
        sentence = f"{whose} has a transaction that is {age} old, which keeps vacuum up"
        yield broken(Rule.TRANSACTION_OLD, subject, sentence, remedy)


def judge_prepared(limits: Limits, prepared: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether a prepared transaction has been forgotten."""
    if prepared["seconds"] > limits.prepared:
        yield broken(
            Rule.TRANSACTION_PREPARED,
            f"prepared transaction {prepared['gid']}",
            f"a prepared transaction of {prepared['owner']} waits since "
            f"{duration(prepared['seconds'])} to be committed or rolled back: it holds its locks, "
            "over restarts too",
            f"ROLLBACK PREPARED {prepared['literal']}",
        )


def judge_slot(limits: Limits, slot: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether a slot that nobody reads holds much WAL."""
    if slot["held"] > limits.slot or slot["wal_status"] == "lost":
        yield broken(
            Rule.SLOT_INACTIVE,
            f"replication slot {slot['name']}",
            f"nobody reads from the replication slot {slot['name']}, which holds "
            f"{size(slot['held'])} of WAL ({slot['wal_status']})",
            f"SELECT pg_drop_replication_slot({slot['literal']})",
        )


def judge_standby(limits: Limits, standby: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether a standby is far behind."""
    if not standby["is_hidden"] and (standby["behind"] or 0) > limits.lag:
        yield broken(
            Rule.REPLICATION_LAG,
            f"session {standby['pid']}",
            f"the standby that {standby['role']} feeds is {size(standby['behind'])} of WAL behind",
            "look at the standby's log, its disk and the network in between",
        )
