"""Bad configuration, as a worker process finds it in its environment; `code` is the exit code."""

from tests.bad_input.row import CANARY, Row

CONFIG = "config"

ROLES = [
    Row(
        "B46",
        CONFIG,
        "app-superuser",
        ("database_url", "admin"),
        "2",
        "",
        "postgres is a superuser",
    ),
    Row(
        "B46",
        CONFIG,
        "app-owner",
        ("database_url", "owner"),
        "2",
        "",
        "a member of, copydesk_owner",
    ),
    Row(
        "B46",
        CONFIG,
        "bypass-rls",
        ("database_url", "bypass"),
        "2",
        "",
        "bypass row level security",
    ),
]
"""`input` is a setting, and the role in its URL."""

DEFAULTS = [
    Row("B47", CONFIG, f"on-the-{what}", sql, "2", "", "app.project_id has a default")
    for what, sql in {
        "database": "ALTER DATABASE {name} SET app.project_id = '{project}'",
        "role": "ALTER ROLE copydesk_app IN DATABASE {name} SET app.project_id = '{project}'",
        "url": "",
    }.items()
]
"""`input` is the statement that gives app.project_id a default."""

URLS = [
    Row("B48", CONFIG, what, (name, url.format(CANARY)), code, "", rule)
    for what, name, url, code, rule in (
        ("parameter", "DATABASE_URL", "postgresql://me:{}@127.0.0.1/x?sslmode=odd", "2", "URL"),
        ("nobody-there", "DATABASE_URL", "postgresql://me:{}@127.0.0.1:1/x", "3", "did not answer"),
        ("no-such-host", "DATABASE_URL", "postgresql://me:{}@no.invalid/x", "3", "did not answer"),
        (
            "redis-parameter",
            "REDIS_URL",
            "redis://:{}@127.0.0.1:1/0?socket_timeout=odd",
            "2",
            "REDIS",
        ),
        ("redis-unknown", "REDIS_URL", "redis://:{}@127.0.0.1:1/0?odd=1", "2", "REDIS"),
    )
]
"""`input` is a variable and a URL with a password in it, which only its driver can judge."""

VALUES = [
    Row("B48", CONFIG, what, (name, value.format(CANARY)), "2", f"COPYDESK_{name}: ")
    for what, name, value in (
        ("port", "DATABASE_URL", "postgresql://me:{}@host:port/x"),
        ("scheme", "DATABASE_URL", "mysql://me:{}@host/x"),
        ("no-url", "DATABASE_URL", "{}"),
        ("bracket", "DISPATCH_URL", "postgresql://me:{}@[::1/x"),
        ("redis-scheme", "REDIS_URL", "http://me:{}@127.0.0.1"),
        ("lease-nan", "LEASE", "nan"),
        ("lease-negative", "LEASE", "-1"),
        ("lease-canary", "LEASE", "{}"),
        ("concurrency-1e9", "CONCURRENCY", "1e9"),
        ("concurrency-5000-digits", "CONCURRENCY", "9" * 5000),
        ("queue-name-empty", "QUEUE_NAME", ""),
        ("worker-name-no-utf-8", "WORKER_NAME", "\udcff"),
        ("environment-canary", "ENVIRONMENT", "{}"),
        ("log-level-line-end", "LOG_LEVEL", "info\n{}"),
        ("metrics-port", "METRICS_PORT", "65536"),
    )
]
"""`input` is a variable and a value that is refused as soon as the settings are read."""

REDIS = [
    Row("B49", CONFIG, "no-password", "no password", "2", "", "COPYDESK_REDIS_URL has no password"),
    Row("B49", CONFIG, "evicts", "allkeys-lru", "2", "", "Redis evicts keys"),
]
"""`input` is what is wrong with Redis."""

ROWS = [*ROLES, *DEFAULTS, *URLS, *VALUES, *REDIS]
