"""What the doctor takes for too much: every threshold that no setting decides, in one place."""

from dataclasses import dataclass

MB = 1024 * 1024
MINUTE = 60
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds; durations in seconds, sizes in bytes.

    Attributes:
        connections_used: share of the connections in use that is worth a warning.
        statement_timeout: what a move may well take, so that a shorter time limit cuts it off.
        session_idle: how long connections of a pool may be idle, so that they must not be ended.
        buffers: the default size of shared_buffers, and how many times that a large database is.
        transaction, idle: age of a transaction, and of one that does nothing, that is too old.
        prepared: age of a prepared transaction that somebody has forgotten.
        slot: WAL that an unused replication slot may hold.
        lag: WAL that a standby may be behind.
        dead_rows, changed_rows: fewer of them are no reason to vacuum or to analyze.
        bloat: the share of a table or index that is wasted, and how much that must be at least.
        measured: the largest table or index that is measured page by page.
        ages: transaction ids until the limit at which PostgreSQL takes no more writes.
        unused: age of the statistics from which on "never used" means something.
        slow, calls: mean time of a statement that is slow, and calls it takes to say so.
        compiled: the share of a statement's time that JIT may take.
        unclaimed, late: how long an execution may be due.
        redis_full: share of maxmemory that is worth a warning.
    """

    connections_used: float = 0.9
    statement_timeout: float = 5
    session_idle: float = 300
    buffers: tuple[int, int] = (128 * MB, 16)
    transaction: float = 5 * MINUTE
    idle: float = MINUTE
    prepared: float = 5 * MINUTE
    slot: int = 64 * MB
    lag: int = 64 * MB
    dead_rows: int = 10_000
    changed_rows: int = 10_000
    bloat: tuple[float, int] = (0.5, 16 * MB)
    measured: int = 128 * MB
    ages: tuple[int, int] = (1_500_000_000, 500_000_000)
    unused: float = 7 * DAY
    slow: float = 0.25
    calls: int = 10
    compiled: float = 0.25
    unclaimed: float = MINUTE
    late: float = 5 * MINUTE
    redis_full: float = 0.9
