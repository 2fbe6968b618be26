"""The command line inside this process: arguments in, exit code and text out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from worker.cli import main
from worker.settings import Settings, secret


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> dict[str, str]:
        """The `name value` lines of the output."""
        pairs = (line.split(None, 1) for line in self.out.splitlines() if " " in line)
        return {pair[0]: pair[1].strip() for pair in pairs}


Copydesk = Callable[..., Said]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Copydesk:
    """Return what runs `copydesk ...` in this process, with the environment as it is then."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["copydesk", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else int(bool(code)), captured.out, captured.err)

    return run


@pytest.fixture
def copydesk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Copydesk:
    """Run `copydesk ...` against the test's own servers."""
    monkeypatch.setenv("COPYDESK_DATABASE_URL", secret(settings.database_url))
    monkeypatch.setenv("COPYDESK_OWNER_URL", secret(settings.owner_url))
    monkeypatch.setenv("COPYDESK_MAINTENANCE_URL", secret(settings.maintenance_url))
    monkeypatch.setenv("COPYDESK_REDIS_URL", secret(settings.redis_url))
    return runner(monkeypatch, capsys)
