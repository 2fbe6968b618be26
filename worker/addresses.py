"""What a PostgreSQL URL says: how asyncpg is told, and how the programs of PostgreSQL are.

A URL means what it means to asyncpg and libpq (`sslmode`, `sslrootcert`, several hosts, ...), and
one thing more: `statement_cache_size=0` for a pooler that cannot keep prepared statements.
"""

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from worker.errors import SettingsError

STATEMENT_CACHE = "statement_cache_size"
_FILES = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_LARGEST_CACHE = 10_000

DIRECT = MappingProxyType({"copydesk.direct": "on"})
"""A setting for sessions that must be PostgreSQL's own: a pooler does not know it, and refuses."""


def statement_cache_size(url: str) -> int | None:
    """Return how many prepared statements a connection may keep, None where the URL is silent.

    Raises:
        ValueError: it is not a number from 0 to 10,000.
    """
    given = [value for name, value in _query(url) if name == STATEMENT_CACHE]
    if not given:
        return None
    if not (given[-1].isascii() and given[-1].isdigit() and int(given[-1]) <= _LARGEST_CACHE):
        raise ValueError(f"{STATEMENT_CACHE} must be a number from 0 to {_LARGEST_CACHE:,}")
    return int(given[-1])


def connection_options(url: str) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect` and `create_pool` that a URL stands for.

    Raises:
        SettingsError: a certificate or key that it names cannot be read.
    """
    for name, value in _query(url):
        if name in _FILES and not os.access(value, os.R_OK):
            raise SettingsError(f"{name} in a PostgreSQL URL names a file that cannot be read here")
    size = statement_cache_size(url)
    if size is None:
        return {"dsn": url}
    return {"dsn": _without(urlsplit(url), STATEMENT_CACHE), STATEMENT_CACHE: size}


@dataclass(frozen=True)
class ProgramAddress:
    """A URL as PostgreSQL's own programs take it; the password goes by the environment."""

    url: str
    password: str | None = field(repr=False)


def program_address(url: str) -> ProgramAddress:
    """Return a URL for a command line, which everybody on the machine can read.

    Raises:
        ValueError: it holds the passphrase of a key, which no environment variable can carry.
    """
    query = dict(_query(url))
    if "sslpassword" in query:
        raise ValueError("sslpassword would show on a command line; use a key without passphrase")
    parts = urlsplit(url)
    user, at, address = parts.netloc.rpartition("@")
    password = query.get("password") or unquote(user.partition(":")[2]) or None
    bare = parts._replace(netloc=f"{user.partition(':')[0]}{at}{address}")
    return ProgramAddress(_without(bare, STATEMENT_CACHE, "password"), password)


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def _without(parts: SplitResult, *names: str) -> str:
    kept = [
        f"{name}={quote(value)}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in names
    ]
    # geturl() would drop the two slashes of a URL without a host.
    return f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if kept else ''}{'&'.join(kept)}"
