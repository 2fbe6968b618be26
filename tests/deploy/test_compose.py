"""What compose.yaml promises: no default secret, one road in, servers as copydesk needs them."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composefile import ROOT, SECRETS, interpolated, parsed, references, seconds
from tests.deploy.composefile import services as read_services
from worker.embedded.postgres import postgres_programs
from worker.settings import PREFIX, Settings

CONFIGURATION = ROOT / "deploy/postgres/postgresql.conf"
LONG_RUNNING = ("postgres", "redis", "worker")
SECONDS_TO_GIVE_BACK = 10
"""What a worker gets, beyond its drain grace, to give back what is left and to close."""


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """The services, with only the secrets given."""
    return read_services()


def test_a_secret_has_no_default_and_says_where_to_set_it() -> None:
    """Every reference to a password is `${NAME:?message}`; an empty one starts nothing."""
    found = [each for each in references() if "PASSWORD" in each["name"]]
    assert {each["name"] for each in found} == set(SECRETS)
    assert all(each["rule"] == ":?" and ".env.example" in each["rest"] for each in found)
    for name in SECRETS:
        with pytest.raises(KeyError, match=name):
            interpolated("".join(each[0] for each in found), SECRETS | {name: ""})


def test_no_password_is_written_into_the_file() -> None:
    """A variable with a secret in it is a reference, or handed on without a value."""
    for service in parsed()["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|AUTH|_URL|KEY", name) and value is not None:
                assert re.search(r"\$\{COPYDESK_\w+_PASSWORD:\?", value), name
                assert not re.search(r"://[^@$]*:[^@$]+@", value), name


def test_each_role_is_known_only_to_who_connects_with_it(
    services: dict[str, dict[str, Any]],
) -> None:
    """Workers cannot migrate, the migration cannot run agents, and no one else is the superuser."""
    holders = {
        secret: {name for name, service in services.items() if secret in str(service)}
        for secret in SECRETS.values()
    }
    assert {name: holders[secret] for name, secret in SECRETS.items()} == {
        "COPYDESK_POSTGRES_PASSWORD": {"postgres"},
        "COPYDESK_OWNER_PASSWORD": {"postgres", "migrate"},
        "COPYDESK_APP_PASSWORD": {"postgres", "worker"},
        "COPYDESK_DISPATCH_PASSWORD": {"postgres", "worker", "maintenance"},
        "COPYDESK_MAINTENANCE_PASSWORD": {"postgres", "maintenance"},
        "COPYDESK_BACKUP_PASSWORD": {"postgres", "backup"},
        "COPYDESK_REDIS_PASSWORD": {"redis", "worker", "maintenance"},
    }


def test_the_example_names_every_secret_and_sets_none() -> None:
    """Copying .env.example starts nothing; each variable in it is one that compose.yaml reads."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"COPYDESK_\w+=", line))
    assert given == dict.fromkeys(SECRETS, "")
    offered = {found[1] for line in lines if (found := re.match(r"#?(COPYDESK_\w+)=", line))}
    handed_on = set(parsed()["services"]["worker"]["environment"])
    assert offered <= {each["name"] for each in references()} | handed_on


def test_the_images_are_postgresql_18_and_redis_8(services: dict[str, dict[str, Any]]) -> None:
    """Major versions are pinned, and PostgreSQL's volume is where its image from 18 on wants it."""
    assert services["postgres"]["image"] == "postgres:18"
    assert services["archive"]["image"] == "postgres:18"
    assert services["redis"]["image"] == "redis:8"
    assert "postgres:/var/lib/postgresql" in services["postgres"]["volumes"]


def test_a_worker_can_be_scaled(services: dict[str, dict[str, Any]]) -> None:
    """Nothing of a worker exists only once: no name, no host name, no port."""
    once = {"container_name", "hostname", "ports"}
    assert not once & set(services["worker"])
    assert "COPYDESK_WORKER_NAME" not in services["worker"]["environment"]


def test_nothing_is_published(services: dict[str, dict[str, Any]]) -> None:
    """No service has a port of the host, and the servers' network has no way out."""
    assert not any("ports" in service for service in services.values())
    assert parsed()["networks"]["data"] == {"internal": True}
    outside = {name for name, service in services.items() if "outside" in service["networks"]}
    assert outside == {"worker"}


def test_whatever_stays_is_checked_bounded_and_restarted(
    services: dict[str, dict[str, Any]],
) -> None:
    """Every long-running service has a health check, a restart policy and a memory limit."""
    for name in LONG_RUNNING:
        service = services[name]
        assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"]), name
        assert service["restart"] == "unless-stopped", name
    for name, service in services.items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_order_is_servers_then_migration_then_workers(
    services: dict[str, dict[str, Any]],
) -> None:
    """A worker starts on a migrated database; the migration runs once and is not restarted."""
    assert services["worker"]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["postgres"]["depends_on"] == {
        "archive": {"condition": "service_completed_successfully"}
    }
    assert services["migrate"]["restart"] == "no"
    assert services["migrate"]["command"] == ["db", "upgrade"]


def test_a_worker_gets_longer_to_stop_than_it_takes_to_drain(
    services: dict[str, dict[str, Any]],
) -> None:
    """The engine kills a worker only after its drain grace and the time to give work back."""
    grace = float(Settings.model_fields["drain_grace"].default)
    assert seconds(services["worker"]["stop_grace_period"]) >= grace + SECONDS_TO_GIVE_BACK


def test_a_worker_is_told_only_what_it_understands(services: dict[str, dict[str, Any]]) -> None:
    """Each variable of worker and migration is a setting; a misspelt one would be ignored."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in ("worker", "migrate", "maintenance", "backup"):
        assert set(services[name]["environment"]) <= known


def test_what_compose_mounts_exists(services: dict[str, dict[str, Any]]) -> None:
    """A missing file would be mounted as an empty directory."""
    mounts = [volume for service in services.values() for volume in service.get("volumes", ())]
    sources = [ROOT / mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(sources) == 3
    assert all(source.exists() for source in sources)


def test_the_archive_is_postgresqls_and_stands_where_wal_goes(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The directory the configuration names is one that is made, on a volume that both mount."""
    made = services["archive"]["command"]
    assert configured("basic_archive.archive_directory", tmp_path) in made
    assert "--owner=postgres" in services["archive"]["entrypoint"]
    for name in ("archive", "postgres"):
        assert "archive:/var/lib/archive" in services[name]["volumes"]
    assert all(directory.startswith("/var/lib/archive/") for directory in made)


def test_a_backup_is_run_by_hand_and_kept_on_its_own_volume(
    services: dict[str, dict[str, Any]],
) -> None:
    """`up` does not start it, the image holds what it needs, and its directory is the user's."""
    backup = services["backup"]
    assert backup["profiles"] == ["backup"]
    assert backup["command"] == ["backup", "/var/lib/copydesk/backups"]
    assert "backups:/var/lib/copydesk/backups" in backup["volumes"]
    assert backup["build"]["args"]["EXTRAS"] == "backup"
    assert backup["command"][1] in (ROOT / "Dockerfile").read_text("utf-8")


def configured(name: str, tmp_path: Path, *options: str) -> str:
    """Return what the real postgres program makes of a setting of our configuration file."""
    program = str(postgres_programs() / "postgres")
    command = [program, "-C", name, "-D", str(tmp_path), "-c", f"config_file={CONFIGURATION}"]
    done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_postgresql_understands_every_setting(tmp_path: Path) -> None:
    """The figures that were measured are those PostgreSQL 18 takes from the file."""
    expected = {
        "archive_mode": "on",
        "archive_library": "basic_archive",
        "archive_timeout": "300",  # s
        "basic_archive.archive_directory": "/var/lib/archive/wal",
        "io_method": "worker",
        "max_wal_size": "8192",  # MB
        "shared_preload_libraries": "pg_stat_statements",
        "synchronous_commit": "on",
        "wal_compression": "off",
    }
    assert {name: configured(name, tmp_path) for name in expected} == expected


def test_the_buffers_stand_in_one_place(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """They are 2 GB on the command line; the file says nothing, so that a reload is no conflict."""
    command = services["postgres"]["command"]
    assert command[:3] == ["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf"]
    assert configured("shared_buffers", tmp_path, *command[3:]) == "262144"  # pages of 8 kB
    assert not re.search("^shared_buffers", CONFIGURATION.read_text("utf-8"), re.MULTILINE)
