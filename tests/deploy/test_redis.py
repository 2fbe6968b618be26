"""start.sh and redis.conf, run with a real Redis: a password nobody sees, AOF, no eviction."""

from pathlib import Path

import pytest
import redis

from tests.deploy.site import running_redis, start_redis


def test_redis_starts_with_the_password_and_forgets_nothing(tmp_path: Path) -> None:
    """Nobody gets in without the password; writes go to a file; nothing is evicted."""
    with running_redis(tmp_path) as (url, pid):
        with redis.Redis.from_url(url) as client:
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("maxmemory") == {"maxmemory": str(256 * 1024**2)}
            assert client.config_get("save") == {"save": ""}
        stranger = f"redis://{url.partition('@')[2]}"
        with (
            redis.Redis.from_url(stranger) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        password = url.removeprefix("redis://:").partition("@")[0]
        assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert (tmp_path / "appendonlydir").is_dir()


@pytest.mark.parametrize(
    "password", ["", "tooshort-123456", "hides/a@host:in-the-url", 'quote"d' * 9]
)
def test_redis_does_not_start_with_an_unusable_password(tmp_path: Path, password: str) -> None:
    """An empty, short or unquotable password ends the start with the rule, not the password."""
    process = start_redis(tmp_path, password)
    told, _ = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "is not set" in told if not password else "16 or more letters" in told
    assert not password or password not in told
