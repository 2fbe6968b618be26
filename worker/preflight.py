"""Preflight: what a worker checks before it takes work, and refuses to start without.

Isolation is the database's to enforce, so the worker makes sure that it does (`worker/gate`), that
the schema is of exactly this version, and that Redis keeps what it is given.
"""

from urllib.parse import urlsplit

import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

import migrations
from models.roles import APP, DISPATCH
from worker.errors import CopydeskError, StartupRefusedError
from worker.findings import Severity
from worker.gate import examine_isolation
from worker.ledger import MovePool
from worker.settings import Settings, secret


async def check_database(app: MovePool, dispatch: MovePool, *, revision: str) -> None:
    """Refuse a database on which isolation or the schema is not as it has to be.

    What is worth a warning only is logged.

    Args:
        app: connections as copydesk_app.
        dispatch: connections as copydesk_dispatch.
        revision: the schema revision this code works with.

    Raises:
        StartupRefusedError: lists every fault with its remedy.
        DatabaseUnavailableError: PostgreSQL does not answer.
    """
    examined = await examine_isolation({APP: app, DISPATCH: dispatch})
    faults = [f"{error.sentence} ({error.remedy})" for error in examined.errors]
    try:
        faults += await _revision_faults(app, revision)
    except CopydeskError:
        # Where the revision cannot be read, the gate has said why: a table or a grant is missing.
        if not faults:
            raise
    if faults:
        raise StartupRefusedError("; ".join(faults))
    log = structlog.get_logger("copydesk.worker")
    for finding in examined.findings:
        if finding.severity is Severity.WARNING:
            log.warning("isolation_warning", code=finding.code, reason=finding.sentence)


async def check_redis(redis: ArqRedis, settings: Settings) -> None:
    """Refuse a Redis that evicts, or is open to everybody outside development.

    A Redis that does not answer is no reason to refuse: the worker goes on by its sweeps.

    Raises:
        StartupRefusedError: lists every fault with its remedy.
    """
    faults = []
    url = urlsplit(secret(settings.redis_url))
    if settings.environment == "production" and not url.password:
        faults.append(
            "COPYDESK_REDIS_URL has no password; set one in Redis, or, on a machine of your own, "
            "COPYDESK_ENVIRONMENT=development"
        )
    try:
        memory = await redis.info("memory")
    except (RedisError, OSError):
        memory = {}
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        faults.append(
            f"Redis evicts keys (maxmemory-policy is {policy}); set it to noeviction, "
            "or give copydesk a Redis of its own"
        )
    if faults:
        raise StartupRefusedError("; ".join(faults))


async def _revision_faults(app: MovePool, revision: str) -> list[str]:
    rows = await app.call("SELECT version_num FROM alembic_version")
    said = migrations.disagreement(rows[0]["version_num"] if rows else None, revision)
    return [said] if said else []
