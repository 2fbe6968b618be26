"""The reference names everything there is, and nothing that there is not."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from models.functions import ORDER, function_sources
from models.roles import CONTROL_COLUMNS, FUNCTION_GRANTS, ROLES, TABLE_GRANTS
from models.states import Event
from models.tables import Base
from models.triggers import TRIGGERS
from tests.docs.pages import ROOT, code_words, read, rows, sections
from worker.agents.builtin import builtin_agents
from worker.agents.llm_faults import _FINAL
from worker.cli.app import _app
from worker.doctor.rules import Rule as HealthRule
from worker.doctor.rules import broken as broken_health
from worker.errors import CopydeskError
from worker.gate.rules import Rule, broken
from worker.ledger.faults import _REMEDIES
from worker.settings import PREFIX, Settings

SOURCES = sorted((ROOT / "worker").rglob("*.py"))


def _settings_rows() -> dict[str, list[str]]:
    found = {row[0].strip("`"): row[1:] for row in rows(read("reference/settings.md"))}
    return {name: row for name, row in found.items() if name.startswith(PREFIX)}


def test_every_setting_and_no_other_stands_in_the_table() -> None:
    """The table of settings has one row for each field of Settings."""
    fields = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert set(_settings_rows()) == fields


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_default_of_a_setting_is_the_one_that_is_written(name: str) -> None:
    """`none` stands for a setting that is not there, or an empty list."""
    written = _settings_rows()[f"{PREFIX}{name.upper()}"][1]
    if name == "worker_name":
        assert written == "host name"
        return
    default = Settings.model_fields[name].get_default(call_default_factory=True, validated_data={})
    assert written == ("none" if default in (None, []) else f"`{default}`")


def _commands(group: Any, path: str = "copydesk") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_and_option_is_described() -> None:
    """Each command has a section of its own, which names each of its options, and no other."""
    app = typer.main.get_command(_app())
    described = sections("reference/cli.md")
    commands = dict(_commands(app)) | {"copydesk": app}
    assert {name for name in described if name.startswith("copydesk")} == set(commands)
    for name, command in commands.items():
        options = {
            option
            for parameter in command.params
            if parameter.param_type_name == "option"
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        }
        first_cells = " ".join(row[0] for row in rows(described[name]) if row[0] != "option")
        written = set(re.findall(r"--[a-z][a-z-]+", first_cells))
        assert written - {"--help"} == options - {"--help"}, name


def _subclasses(kind: type[CopydeskError]) -> Iterator[type[CopydeskError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("worker."):  # and not a test's
            yield child
            yield from _subclasses(child)


def _codes_in_source() -> set[str]:
    codes = {CopydeskError.code} | {kind.code for kind in _subclasses(CopydeskError)}
    codes |= {code for code, _ in _REMEDIES.values()} | {code for _, code, _ in _FINAL}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            codes |= set(_codes_of(node))
    for sql in function_sources():
        codes |= set(re.findall(r"ERRCODE = '(CD\d{3})'", sql))
        codes |= set(re.findall(r"error_code = '([a-z_]+)'", sql))
    return codes


def _codes_of(node: ast.AST) -> Iterator[str]:
    """Yield the codes that a piece of code gives: `code="..."`, `code = "..."`, Fault("...")."""
    match node:
        case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
            yield code
        case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
            yield code
        case ast.Call(func=ast.Name(id="Fault"), args=[ast.Constant(value=str(code)), *_]):
            yield code


def _written_codes() -> set[str]:
    found = {row[0] for row in rows(read("reference/errors.md"))}
    return {cell.strip("`") for cell in found if cell.startswith("`")}


def test_every_error_code_and_no_other_stands_in_the_reference() -> None:
    """A code is part of the interface, so whoever meets one can look it up."""
    assert _written_codes() == _codes_in_source()


def test_every_finding_and_no_other_stands_in_the_reference() -> None:
    """Each rule of the gate and of the doctor has a row, with the severity that it has."""
    written = {row[0].strip("`"): row[1] for row in rows(read("reference/findings.md"))}
    isolation = {rule.value: broken(rule, "", "", "").severity.value for rule in Rule}
    health = {each.value: broken_health(each, "", "", "").severity.value for each in HealthRule}
    assert written == isolation | health
    assert not set(isolation) & set(health)


def test_whether_trying_again_helps_is_told_as_it_is() -> None:
    """The column `retryable` agrees with the error classes."""
    told = {row[0].strip("`"): row[2] for row in rows(read("reference/errors.md"))}
    for kind in _subclasses(CopydeskError):
        if kind.code != "agent_error":
            assert told[kind.code] == ("yes" if kind.retryable else "no"), kind.code


def test_every_table_and_column_stands_in_the_reference() -> None:
    """Each table has a section with one row for each column, and no other."""
    described = sections("reference/schema.md")
    for table in Base.metadata.sorted_tables:
        first = [row[0] for row in rows(described[table.name])]
        columns = {match[1] for cell in first if (match := re.fullmatch(r"`(\w+)`(?: \*)?", cell))}
        assert {column.name for column in table.columns} <= columns, table.name
        extra = columns - {column.name for column in table.columns}
        assert not {name for name in extra if not name.startswith("idx_")}, table.name


def test_every_index_and_constraint_stands_in_its_tables_section() -> None:
    """A name that an error or a plan shows can be looked up."""
    described = sections("reference/schema.md")
    for table in Base.metadata.sorted_tables:
        text = described[table.name]
        names = {str(index.name) for index in table.indexes}
        names |= {str(constraint.name) for constraint in table.constraints}
        assert not {name for name in names if f"`{name}`" not in text}, table.name
        known = set(re.findall(r"`((?:idx|unique|check|fk|pk)_\w+)`", text))
        covered = {"idx_documents_project_type", "idx_documents_project_fk"}
        assert known - names <= covered | {"idx_executions_project_fk"}, table.name


def test_every_function_role_grant_and_trigger_stands_in_the_reference() -> None:
    """Functions are told with the role that may call them."""
    described = sections("reference/schema.md")
    words = code_words(read("reference/schema.md"))
    assert set(ORDER) <= words
    assert set(ROLES) <= words
    callers = {
        name.strip("`"): row[1]
        for row in rows(described["Functions"])
        for name in row[0].split(", ")
    }
    assert set(callers) - {"function"} == set(ORDER)
    for name in {name for names in FUNCTION_GRANTS.values() for name in names}:
        may = {role for role, names in FUNCTION_GRANTS.items() if name in names}
        assert {f"copydesk_{each}" for each in callers[name].split(", ")} == may, name
    granted = code_words(described["Roles and grants"])
    assert {table for _, table in TABLE_GRANTS} | set(CONTROL_COLUMNS) <= granted
    for trigger in TRIGGERS:
        assert trigger.split()[2] in words


def test_every_event_and_no_other_stands_in_the_reference() -> None:
    """Events are what status, streams and audits read."""
    written = {row[0].strip("`") for row in rows(read("reference/events.md"))}
    assert written == {event.value for event in Event}


def test_every_built_in_agent_and_field_of_its_input_is_described() -> None:
    """An input that is accepted is described where the agent is."""
    described = sections("reference/agents.md")
    model = read("how-to/use-a-language-model.md")
    for agent in builtin_agents(Settings(_env_file=None)):
        text = described[agent.agent_type] + (model if agent.agent_type == "llm" else "")
        for field in agent.input_model.model_fields:
            assert f"`{field}`" in text, (agent.agent_type, field)
