"""The doctor's rules by their codes, which are an interface: docs/reference/findings.md.

The rules about isolation are the gate's own. An error has to be mended: work is lost or lies, or
will; a warning costs time or space, or will; a notice is worth knowing and may well be wanted.
"""

from enum import StrEnum

from worker.findings import Finding, Severity


class Rule(StrEnum):
    """Which rule a finding is about."""

    CHECK_UNANSWERED = "check_unanswered"
    CHECK_FAILED = "check_failed"
    NOT_VISIBLE = "not_visible"

    SCHEMA_MISSING = "schema_missing"
    SCHEMA_DIFFERS = "schema_differs"

    FSYNC_OFF = "fsync_off"
    FULL_PAGE_WRITES_OFF = "full_page_writes_off"
    COMMIT_NOT_DURABLE = "commit_not_durable"
    SERVER_READ_ONLY = "server_read_only"
    AUTOVACUUM_OFF = "autovacuum_off"
    CHECKSUMS_OFF = "checksums_off"
    TIMEOUT_MISSING = "timeout_missing"
    TIMEOUT_SHORT = "timeout_short"
    SCANS_ALLOWED = "scans_allowed"
    SHARED_BUFFERS_SMALL = "shared_buffers_small"
    IO_SYNCHRONOUS = "io_synchronous"
    ARCHIVING_OFF = "archiving_off"

    CONNECTIONS_SHORT = "connections_short"
    CONNECTIONS_SCARCE = "connections_scarce"
    CONNECTIONS_USED = "connections_used"

    TRANSACTION_OLD = "transaction_old"
    TRANSACTION_IDLE = "transaction_idle"
    TRANSACTION_PREPARED = "transaction_prepared"
    SLOT_INACTIVE = "slot_inactive"
    REPLICATION_LAG = "replication_lag"

    TABLE_NOT_VACUUMED = "table_not_vacuumed"
    TABLE_OPTION = "table_option"
    TABLE_BLOAT = "table_bloat"
    DEAD_ROWS = "dead_rows"
    STATISTICS_OLD = "statistics_old"
    WRAPAROUND_AHEAD = "wraparound_ahead"
    WRAPAROUND_NEAR = "wraparound_near"

    INDEX_MISSING = "index_missing"
    INDEX_INVALID = "index_invalid"
    INDEX_BUILDING = "index_building"
    INDEX_DIFFERS = "index_differs"
    INDEX_DUPLICATE = "index_duplicate"
    INDEX_UNUSED = "index_unused"
    INDEX_BLOAT = "index_bloat"

    STATEMENTS_UNRECORDED = "statements_unrecorded"
    STATEMENT_SLOW = "statement_slow"
    STATEMENT_COMPILED = "statement_compiled"

    LEASE_ABANDONED = "lease_abandoned"
    WORK_UNCLAIMED = "work_unclaimed"
    WORK_LATE = "work_late"
    DEAD_LETTERS = "dead_letters"

    REDIS_VERSION = "redis_version"
    REDIS_EVICTS = "redis_evicts"
    REDIS_OPEN = "redis_open"
    REDIS_READ_ONLY = "redis_read_only"
    REDIS_FULL = "redis_full"
    REDIS_UNLIMITED = "redis_unlimited"
    REDIS_FORGETS = "redis_forgets"

    HINTS_WAIT = "hints_wait"
    QUARANTINED = "quarantined"

    CLOCK_OFF = "clock_off"


_ERRORS = frozenset(
    {
        Rule.CHECK_UNANSWERED,
        Rule.CHECK_FAILED,
        Rule.SCHEMA_MISSING,
        Rule.SCHEMA_DIFFERS,
        Rule.FSYNC_OFF,
        Rule.FULL_PAGE_WRITES_OFF,
        Rule.COMMIT_NOT_DURABLE,
        Rule.SERVER_READ_ONLY,
        Rule.AUTOVACUUM_OFF,
        Rule.CONNECTIONS_SHORT,
        Rule.TABLE_NOT_VACUUMED,
        Rule.WRAPAROUND_NEAR,
        Rule.INDEX_MISSING,
        Rule.INDEX_INVALID,
        Rule.LEASE_ABANDONED,
        Rule.WORK_UNCLAIMED,
        Rule.REDIS_VERSION,
        Rule.REDIS_EVICTS,
        Rule.REDIS_OPEN,
        Rule.REDIS_READ_ONLY,
    }
)
_NOTICES = frozenset(
    {
        Rule.NOT_VISIBLE,
        Rule.SHARED_BUFFERS_SMALL,
        Rule.IO_SYNCHRONOUS,
        Rule.ARCHIVING_OFF,
        Rule.INDEX_BUILDING,
        Rule.INDEX_UNUSED,
        Rule.STATEMENTS_UNRECORDED,
        Rule.STATEMENT_COMPILED,
        Rule.DEAD_LETTERS,
        Rule.REDIS_UNLIMITED,
        Rule.REDIS_FORGETS,
    }
)


def broken(rule: Rule, subject: str, sentence: str, remedy: str) -> Finding:
    """Return the finding that a rule is broken."""
    severity = Severity.NOTICE if rule in _NOTICES else Severity.WARNING
    if rule in _ERRORS:
        severity = Severity.ERROR
    return Finding(rule.value, severity, subject, sentence, remedy)
