"""A service that knows arq and Redis and nothing else: it enqueues, and asks what became of it.

Reads one JSON object from standard input: `redis` (host, port, database, password), `codec`,
`job_id`, `request`, `again`. Writes one JSON object of what arq told it.
"""

import asyncio
import json
import sys
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

JSON: dict[str, Any] = {
    "job_serializer": lambda job: json.dumps(job).encode(),
    "job_deserializer": json.loads,
}


async def main(order: dict[str, Any]) -> dict[str, Any]:
    """Enqueue, follow the job to its end, and tell."""
    codec = JSON if order["codec"] == "json" else {}
    redis = await create_pool(RedisSettings(**order["redis"]), **codec)
    try:
        job = await redis.enqueue_job("run_agent", _job_id=order["job_id"], **order["request"])
        assert job is not None
        again = [
            await redis.enqueue_job("run_agent", _job_id=order["job_id"], **order["request"])
            for _ in range(order["again"])
        ]
        answer: dict[str, Any] = {"job_id": job.job_id, "again": [bool(each) for each in again]}
        try:
            answer["result"] = await job.result(timeout=20, poll_delay=0.02)
        except Exception as error:  # noqa: BLE001 - whatever arq raises is the answer
            answer["error"] = f"{type(error).__name__}: {error}"
        answer["status"] = (await job.status()).value
        return answer
    finally:
        await redis.aclose(close_connection_pool=True)


if __name__ == "__main__":
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
