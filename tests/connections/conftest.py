"""Servers with TLS, one each for all tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tls import Certificates, TlsPostgres, TlsRedis, tls_postgres, tls_redis


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA made for this run, and what it has signed."""
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="session")
def postgres(certificates: Certificates) -> Iterator[TlsPostgres]:
    """A PostgreSQL that speaks TLS only."""
    with tls_postgres(certificates) as running:
        yield running


@pytest.fixture(scope="session")
def tls_only_redis(certificates: Certificates) -> Iterator[TlsRedis]:
    """A Redis that speaks TLS only."""
    with tls_redis(certificates) as running:
        yield running
