"""compose.yaml as Compose would read it: parsed, and with variables put in."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import worker

ROOT = Path(worker.__file__).parents[1]
COMPOSE = ROOT / "compose.yaml"

SECRETS = {
    f"COPYDESK_{name}_PASSWORD": f"{name.lower()}-{index:016}"
    for index, name in enumerate(
        ("POSTGRES", "OWNER", "APP", "DISPATCH", "MAINTENANCE", "BACKUP", "REDIS")
    )
}
"""A value for each secret; nothing else is needed to start."""

REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<rule>:[-?])?(?P<rest>[^}]*)\}")


def parsed() -> dict[str, Any]:
    """Return the file with its references as they stand there."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return document


def services() -> dict[str, dict[str, Any]]:
    """Return the services with every variable put in, when only the secrets are given."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(
        interpolated(COMPOSE.read_text("utf-8"), SECRETS)
    )["services"]
    return found


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Put variables into a text by Compose's rules; a missing one without default is a KeyError."""

    def value(reference: re.Match[str]) -> str:
        given = variables.get(reference["name"], "")
        if given:
            return given
        if reference["rule"] == ":-":
            return reference["rest"]
        raise KeyError(f"{reference['name']} {reference['rest'].removeprefix('?')}")

    return REFERENCE.sub(value, text)


def references() -> Iterator[re.Match[str]]:
    """Return every `${...}` of the file."""
    return REFERENCE.finditer(COMPOSE.read_text("utf-8"))


def seconds(duration: str) -> float:
    """Return a duration of compose, such as 40s or 1m, in seconds."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
