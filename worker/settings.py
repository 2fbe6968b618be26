"""Settings: read once from `COPYDESK_...` variables (and `.env`), checked together, then passed on.

Every fault is reported in one message that names the variable, the rule and the remedy, and repeats
no value, since a value may hold a password. Nothing else in copydesk reads the environment.
"""

import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.addresses import statement_cache_size
from worker.errors import SettingsError

PREFIX = "COPYDESK_"
DISPATCH_CONNECTIONS = 2
"""What a worker opens as the dispatch role, at most."""


def _postgres_url(value: SecretStr) -> SecretStr:
    _checked_url(value, ("postgresql", "postgres"), "postgresql://user:password@host/name")
    statement_cache_size(value.get_secret_value())
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    return _checked_url(value, ("redis", "rediss"), "redis://:password@host:6379/0")


def _checked_url(value: SecretStr, schemes: tuple[str, ...], example: str) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        known = parts.scheme in schemes and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"is not a URL of the form {example}")
    return value


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Everything a copydesk process can be told. Durations are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: PostgresUrl | None = Field(
        default=None, description="PostgreSQL as the role copydesk_app"
    )
    dispatch_url: PostgresUrl | None = Field(
        default=None, description="PostgreSQL as the role copydesk_dispatch; workers only"
    )
    owner_url: PostgresUrl | None = Field(
        default=None, description="PostgreSQL as the role copydesk_owner; `copydesk db` only"
    )
    maintenance_url: PostgresUrl | None = Field(
        default=None,
        description="PostgreSQL as the role copydesk_maintenance; `copydesk prune`, `copydesk "
        "reindex`, and deleting, exporting and importing projects",
    )
    backup_url: PostgresUrl | None = Field(
        default=None, description="PostgreSQL as the role copydesk_backup; `copydesk backup` only"
    )
    monitor_url: PostgresUrl | None = Field(
        default=None,
        description="PostgreSQL as a member of pg_monitor, or an administrator; `copydesk doctor` "
        "only",
    )
    redis_url: RedisUrl | None = Field(default=None, description="Redis")
    queue_name: str = Field(
        default="arq:queue", min_length=1, max_length=200, description="arq's queue"
    )
    environment: Literal["production", "development"] = Field(
        default="production",
        description="development admits a Redis without a password",
    )

    worker_name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=150,
        description="this worker's name in logs, events and the table `workers`",
    )
    stable_name: bool = Field(
        default=False,
        description="the name stays when the worker comes back, such as a StatefulSet's pod name",
    )
    concurrency: int = Field(
        default=100, ge=1, le=20_000, description="attempts one worker runs at a time"
    )
    lease: Seconds = Field(default=30, description="how long a claim holds without a heartbeat")
    heartbeat: Seconds = Field(default=10, description="how often the leases are renewed")
    sweep: Seconds = Field(default=2, description="how often due and abandoned rows are looked for")
    drain_grace: Seconds = Field(
        default=25, description="how long running attempts may go on after SIGTERM"
    )
    loop_blocked_after: Seconds = Field(
        default=1, description="how long the event loop may stand still before it is logged"
    )
    pool_size: int = Field(
        default=8, ge=1, le=200, description="connections of a worker's or client's move pool"
    )
    agents: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="agents beside the installed ones, as module:name, separated by commas",
    )
    input_limit: int = Field(default=1_048_576, ge=1024, description="largest input, as JSON")
    output_limit: int = Field(default=16_777_216, ge=1024, description="largest output, as JSON")
    document_limit: int = Field(default=33_554_432, ge=1024, description="largest document")
    exports_directory: Path | None = Field(
        default=None, description="where export files are stored; without it `export` refuses"
    )

    llm_model: str | None = Field(default=None, description="model name of the agent `llm`")
    llm_base_url: str | None = Field(
        default=None, description="base URL of an OpenAI-compatible server"
    )
    llm_api_key: SecretStr | None = Field(default=None, description="its key")

    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="where a worker serves metrics for Prometheus"
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="the address it serves them on"
    )

    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, json elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info")

    @model_validator(mode="before")
    @classmethod
    def _comma_lists(cls, values: dict[str, object]) -> dict[str, object]:
        return {key: _split(value) if key == "agents" else value for key, value in values.items()}

    @model_validator(mode="after")
    def _times_agree(self) -> Self:
        faults = []
        if self.heartbeat >= self.lease / 2:
            faults.append(
                f"COPYDESK_HEARTBEAT ({self.heartbeat:g} s) must be less than half of "
                f"COPYDESK_LEASE ({self.lease:g} s), so that one lost heartbeat loses no lease"
            )
        if self.sweep > self.lease:
            faults.append(
                f"COPYDESK_SWEEP ({self.sweep:g} s) must not exceed COPYDESK_LEASE "
                f"({self.lease:g} s), or abandoned work waits longer than promised"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def lease_time(self) -> timedelta:
        """`lease` as a timedelta."""
        return timedelta(seconds=self.lease)

    @property
    def connections(self) -> int:
        """How many connections to PostgreSQL a worker opens at most."""
        # Moves and readings have a pool each; a stable name has a lock, and that a session.
        return 2 * self.pool_size + DISPATCH_CONNECTIONS + self.stable_name

    def require(self, *names: str) -> None:
        """Check that the named settings are there.

        Raises:
            SettingsError: lists every missing variable with its meaning.
        """
        missing = [
            f"{PREFIX}{name.upper()} is not set ({Settings.model_fields[name].description})"
            for name in names
            if getattr(self, name) is None
        ]
        if missing:
            raise SettingsError("; ".join(missing))

    def secrets(self) -> list[str]:
        """Return the secret values that must never show in a log line."""
        databases = (
            *(self.database_url, self.dispatch_url, self.owner_url),
            *(self.maintenance_url, self.backup_url, self.monitor_url),
        )
        urls = (*databases, self.redis_url)
        passwords = [word for url in urls if url for word in _passwords(url.get_secret_value())]
        key = self.llm_api_key.get_secret_value() if self.llm_api_key else None
        return [secret for secret in (*passwords, key) if secret]


def read_settings(**given: object) -> Settings:
    """Read the settings; `given` stands above the environment.

    Raises:
        SettingsError: one message with every fault, by variable name.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(fault) for fault in error.errors())) from None


def _sentence(fault: object) -> str:
    location, message = fault["loc"], fault["msg"]  # type: ignore[index]
    text = str(message).removeprefix("Value error, ")
    return f"{PREFIX}{str(location[0]).upper()}: {text}" if location else text


def _passwords(url: str) -> list[str]:
    """Return the passwords of a URL as they are written there, and as a server sees them."""
    parts = urlsplit(url)
    written = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    return list(dict.fromkeys([*written, *map(unquote, written)]))


def secret(value: SecretStr | None) -> str:
    """Return the value of a setting that `Settings.require` has checked."""
    if value is None:
        raise SettingsError("a required setting is missing")
    return value.get_secret_value()
