"""Whether Redis is one that copydesk works with, and what it does when it is full or restarted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import ResponseError

from worker.doctor.clock import judge_offset, measure, tolerated
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule, broken
from worker.doctor.sight import Sight, is_forbidden
from worker.doctor.site import Site
from worker.doctor.words import share, size
from worker.findings import Examination, Finding
from worker.settings import secret

OLDEST = (7, 2)
_SECTIONS = ("server", "replication", "memory", "persistence", "clients")
_PERSISTENT = "what plain arq producers have enqueued, and nobody has recorded yet, is lost"


async def redis(site: Site) -> Examination:
    """Check version, memory policy, persistence, and whether this is the primary."""
    sight = site.sight
    findings = [*_password(site)]
    info: dict[str, Any] = {}
    try:
        for section in _SECTIONS:
            info |= await sight.ask("INFO", section)
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        findings.append(_hidden("INFO", "what version this is and what it does when it is full"))
        return Examination("redis", findings, {})
    saves, is_config_hidden = await _saves(sight)
    findings += [
        *judge_kind(info),
        *judge_memory(site.limits, info, production=site.settings.environment == "production"),
    ]
    if is_config_hidden:
        findings.append(_hidden("CONFIG", "whether Redis saves snapshots"))
    findings += judge_persistence(info, saves, is_known=not is_config_hidden)

    async def time() -> float:
        seconds, microseconds = await sight.ask("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    offset = await measure(time, site.now)
    findings += judge_offset("Redis", offset, tolerated=tolerated(site))
    facts = [
        f"{_product(info)} {'.'.join(map(str, _version(info)))}",
        _memory_words(info),
        f"clock {offset.words}",
    ]
    return Examination("redis", findings, {"sections": [*_SECTIONS]}, facts)


def _password(site: Site) -> Iterator[Finding]:
    is_open = not urlsplit(secret(site.settings.redis_url)).password
    if is_open and site.settings.environment == "production":
        yield broken(
            Rule.REDIS_OPEN,
            "redis",
            "COPYDESK_REDIS_URL has no password: whoever reaches Redis can ask for work",
            "set a password in Redis and in the URL; on a machine of your own, "
            "COPYDESK_ENVIRONMENT=development",
        )


def _hidden(command: str, what: str) -> Finding:
    sentence = f"not checked: {what} (this user of Redis may not call {command})"
    return broken(
        Rule.NOT_VISIBLE,
        "redis",
        sentence,
        f"let the user call it (`ACL SETUSER ... +{command.lower()}`), or ask whoever runs Redis",
    )


async def _saves(sight: Sight) -> tuple[str, bool]:
    """Return the points at which Redis saves snapshots, and whether that is hidden."""
    try:
        answer = await sight.ask("CONFIG", "GET", "save")
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        return "", True
    pairs = (
        answer.items()
        if isinstance(answer, Mapping)
        else zip(answer[::2], answer[1::2], strict=True)
    )
    return {_text(name): _text(value) for name, value in pairs}.get("save", ""), False


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _product(info: Mapping[str, Any]) -> str:
    return "Valkey" if "valkey_version" in info else "Redis"


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    # Valkey says here which version of Redis it is compatible with, and its own elsewhere.
    told = str(info.get("valkey_version") or info.get("redis_version", "0"))
    return tuple(int(part) for part in told.split(".") if part.isdigit())


def judge_kind(info: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the version, and with a replica."""
    version = _version(info)
    if version < OLDEST:
        found, oldest = ".".join(map(str, version)), ".".join(map(str, OLDEST))
        yield broken(
            Rule.REDIS_VERSION,
            "redis",
            f"{_product(info)} {oldest} or newer is needed, not {found}",
            "upgrade it",
        )
    if info.get("role") == "slave":
        yield broken(
            Rule.REDIS_READ_ONLY,
            "redis",
            "COPYDESK_REDIS_URL leads to a replica, which takes no hints",
            "let the URL lead to the primary",
        )


def judge_memory(limits: Limits, info: Mapping[str, Any], *, production: bool) -> Iterator[Finding]:
    """Yield what is wrong with what Redis does when it is full."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield broken(
            Rule.REDIS_EVICTS,
            "redis",
            f"Redis evicts keys when it is full (maxmemory-policy is {policy}): workers refuse to "
            f"start, and {_PERSISTENT}",
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf; or give copydesk a Redis "
            "of its own",
        )
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most and used >= limits.redis_full * most:
        yield broken(
            Rule.REDIS_FULL,
            "redis",
            f"Redis uses {size(used)} of {size(most)} ({share(used / most)}): soon it takes no "
            "hints, and work waits for sweeps",
            "see what it holds (`redis-cli --bigkeys`), or raise maxmemory",
        )
    if not most and production:
        yield broken(
            Rule.REDIS_UNLIMITED,
            "redis",
            "Redis has no maxmemory: it grows until the machine ends it",
            "CONFIG SET maxmemory 256mb, and in redis.conf",
        )


def judge_persistence(info: Mapping[str, Any], saves: str, *, is_known: bool) -> Iterator[Finding]:
    """Yield whether Redis keeps nothing over a restart, as far as that is known."""
    if int(info.get("aof_enabled", 0)) or saves or not is_known:
        return
    yield broken(
        Rule.REDIS_FORGETS,
        "redis",
        f"Redis keeps nothing over a restart: hints only wake, but {_PERSISTENT}",
        "CONFIG SET appendonly yes, and in redis.conf",
    )


def _memory_words(info: Mapping[str, Any]) -> str:
    most = int(info.get("maxmemory", 0))
    used = size(int(info.get("used_memory", 0)))
    return f"{used} of {size(most)}" if most else f"{used}, no limit"
