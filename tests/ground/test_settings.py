"""Settings: read once, checked together, and faults that name variables and repeat no value."""

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import Settings, read_settings

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without a `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_fault_is_reported_at_once_by_variable_and_without_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever configures a worker does it once, and may paste the message anywhere."""
    given = {
        "COPYDESK_DATABASE_URL": f"mysql://me:{SECRET}@host/db",
        "COPYDESK_REDIS_URL": f"redis://me:{SECRET}@host:port/0",
        "COPYDESK_CONCURRENCY": "0",
        "COPYDESK_LEASE": "soon" + SECRET,
        "COPYDESK_ENVIRONMENT": SECRET,
        "COPYDESK_POOL_SIZE": "many",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    for name in given:
        assert f"{name}: " in caught.value.message
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__context__)
    assert caught.value.code == "settings_invalid"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"lease": 30, "heartbeat": 15}, "COPYDESK_HEARTBEAT (15 s)"),
        ({"lease": 10, "heartbeat": 20}, "COPYDESK_HEARTBEAT (20 s)"),
        ({"lease": 30, "sweep": 31}, "COPYDESK_SWEEP (31 s)"),
    ],
)
def test_times_that_contradict_each_other_are_refused(given: dict[str, float], named: str) -> None:
    """One lost heartbeat must lose no lease, and abandoned work must be found in time."""
    with pytest.raises(SettingsError, match="COPYDESK_LEASE") as caught:
        read_settings(**given)
    assert named in caught.value.message


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e9"])
def test_durations_are_positive_and_finite(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time of a worker is endless, or nothing."""
    monkeypatch.setenv("COPYDESK_DRAIN_GRACE", value)
    with pytest.raises(SettingsError, match="COPYDESK_DRAIN_GRACE"):
        read_settings()


def test_missing_settings_are_named_together_with_their_meaning() -> None:
    """A worker says all that it needs, not one thing at a time."""
    with pytest.raises(SettingsError) as caught:
        read_settings(redis_url="redis://host").require("database_url", "dispatch_url", "redis_url")
    assert "COPYDESK_DATABASE_URL is not set (PostgreSQL as the role" in caught.value.message
    assert "COPYDESK_DISPATCH_URL is not set" in caught.value.message
    assert "COPYDESK_REDIS_URL" not in caught.value.message


def test_what_is_given_stands_above_the_environment_and_that_above_the_file(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, variables, `.env`, defaults: in this order."""
    (nowhere / ".env").write_text("COPYDESK_CONCURRENCY=3\nCOPYDESK_POOL_SIZE=3\nOTHER=1\n")
    assert (read_settings().concurrency, read_settings().pool_size) == (3, 3)
    monkeypatch.setenv("COPYDESK_CONCURRENCY", "4")
    assert read_settings().concurrency == 4
    assert read_settings(concurrency=5).concurrency == 5
    assert read_settings().sweep == 2


def test_agents_are_a_list_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty parts count for nothing."""
    monkeypatch.setenv("COPYDESK_AGENTS", " one.module, two:agent ,,")
    assert read_settings().agents == ["one.module", "two:agent"]
    assert read_settings(agents=["three"]).agents == ["three"]


def test_settings_show_no_secret_and_cannot_be_changed() -> None:
    """They may be printed; they are read once."""
    settings = read_settings(database_url=f"postgresql://me:{SECRET}@host/db", llm_api_key=SECRET)
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()
    with pytest.raises(ValueError, match="frozen"):
        settings.concurrency = 1  # type: ignore[misc]


def test_every_secret_is_known_to_those_who_hide_it() -> None:
    """As it is written and decoded, in the URL's place for it and as a parameter."""
    settings = read_settings(
        database_url="postgresql://me:a%40b@host/db",
        dispatch_url="postgresql://host/db?user=me&password=c%20d",
        redis_url="redis://:efgh@host",
        llm_api_key="sk-1",
    )
    assert {"a%40b", "a@b", "c d", "efgh", "sk-1"} <= set(settings.secrets())
    assert "" not in settings.secrets()


def test_every_setting_says_what_it_is() -> None:
    """The table in the documentation is made of these."""
    unsaid = {"log_level"}
    fields = Settings.model_fields.items()
    assert {name for name, field in fields if not field.description} <= unsaid
