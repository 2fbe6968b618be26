"""Everything at once, for a short while: faults in a random order, and every promise kept."""

import os
import random
from pathlib import Path

from tests.queue.redis_server import RedisServer, runnable_redis
from tests.soak.swizzle import soak
from tests.support.databases import DatabaseUrls

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))


async def test_faults_in_any_order_break_no_promise(database: DatabaseUrls, tmp_path: Path) -> None:
    """A seed decides which faults; `python -m tests.soak --seed N` repeats it for longer."""
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(2**31))
    redis = RedisServer(
        runnable_redis(tmp_path), tmp_path, appendonly=True, password="soak-soak-soak"
    )
    redis.start()
    try:
        result = await soak(database, redis, tmp_path, seconds=SECONDS, seed=seed)
    finally:
        redis.stop()
    assert not result.violations, str(result)
    assert result.counts["completed"] > 0
