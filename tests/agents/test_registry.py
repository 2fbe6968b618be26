"""How agents are found: entry points and settings, one agent per type, every fault by name."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from worker.agents.contract import Agent, Outcome, RunContext, agent
from worker.agents.registry import Registry, load_agents
from worker.errors import AgentNotFoundError, SettingsError
from worker.settings import Settings

PLUGIN = """
from pydantic import BaseModel
from worker.agents.contract import Outcome, agent

class Nothing(BaseModel):
    pass

def make(name):
    @agent(name)
    async def work(context, given: Nothing):
        "Do nothing."
        return Outcome()
    return work

agents = [make("one"), make("two")]
alone = make("three")
rival = make("one")
class nested:
    inner = make("four")
number = 7
mixed = [alone, 7]

def from_settings(settings):
    return make("on_" + settings.queue_name.replace(":", "_"))

def fails(settings):
    raise RuntimeError("no luck with " + settings.llm_api_key.get_secret_value())
"""


class Nothing(BaseModel):
    """No input."""


def settings(*references: str) -> Settings:
    """Return settings that name agents, and hold a key."""
    return Settings(_env_file=None, agents=list(references), llm_api_key="sk-hidden")


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a package with agents, and an entry point for one of them, on the path."""
    (tmp_path / "desk_plugin.py").write_text(PLUGIN)
    (tmp_path / "desk_broken.py").write_text("import no_such_module_here")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("worker.agents.registry.GROUP", "copydesk.agents.under_test")
    monkeypatch.delitem(sys.modules, "desk_plugin", raising=False)
    return tmp_path


def publish(path: Path, value: str) -> None:
    """Install a distribution whose entry point is `value`."""
    info = path / "desk_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: desk-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[copydesk.agents.under_test]\nplugin = {value}\n")


def test_agents_of_an_installed_package_are_found_by_entry_point(plugin: Path) -> None:
    """A package names its agents in the entry-point group, and needs no setting."""
    publish(plugin, "desk_plugin:agents")
    assert load_agents(settings()).types == ("one", "two")


@pytest.mark.parametrize(
    ("reference", "types"),
    [
        ("desk_plugin", ("one", "two")),
        ("desk_plugin:agents", ("one", "two")),
        ("desk_plugin:alone", ("three",)),
        ("desk_plugin:nested.inner", ("four",)),
        ("desk_plugin:from_settings", ("on_arq_queue",)),
    ],
)
def test_a_setting_names_an_agent_several_or_a_callable(
    reference: str, types: tuple[str, ...]
) -> None:
    """`module:name` may be an agent, an iterable or a callable; a bare module means `agents`."""
    assert load_agents(settings(reference)).types == types


def test_two_agents_of_one_type_are_refused_naming_both_sources(plugin: Path) -> None:
    """Which of two agents runs must not depend on the order in which they are found."""
    publish(plugin, "desk_plugin:agents")
    with pytest.raises(SettingsError) as refused:
        load_agents(settings("desk_plugin:rival"))
    assert "'one'" in refused.value.message
    assert "entry point plugin" in refused.value.message
    assert "'desk_plugin:rival'" in refused.value.message


def test_the_same_agent_found_twice_is_one_agent(plugin: Path) -> None:
    """An agent that is installed and also named in the settings contradicts nothing."""
    publish(plugin, "desk_plugin:agents")
    assert load_agents(settings("desk_plugin:agents", "desk_plugin")).types == ("one", "two")


def test_all_references_that_cannot_be_loaded_are_reported_at_once() -> None:
    """One message names each reference with class and text of its cause, on one line."""
    references = ("desk_absent:x", "desk_broken", "desk_plugin:nothing", "desk_plugin:number")
    with pytest.raises(AgentNotFoundError) as refused:
        load_agents(settings(*references, "desk_plugin:mixed", "desk_plugin:alone"))
    message = refused.value.message
    assert "\n" not in message
    assert all(repr(reference) in message for reference in (*references, "desk_plugin:mixed"))
    assert "ModuleNotFoundError: No module named 'no_such_module_here'" in message
    assert "desk_plugin:alone" not in message


def test_a_fault_while_loading_never_shows_a_secret() -> None:
    """What foreign code raises may hold the key; the message does not."""
    with pytest.raises(AgentNotFoundError) as refused:
        load_agents(settings("desk_plugin:fails"))
    assert "no luck with ***" in refused.value.message
    assert "sk-hidden" not in refused.value.message


def test_a_registry_is_an_immutable_mapping_sorted_by_type() -> None:
    """Reading it is all one can do with it."""

    def made(name: str) -> Agent:
        @agent(name)
        async def work(_context: RunContext, _given: Nothing) -> Outcome:
            return Outcome()

        return work

    registry = Registry([made("b"), made("a")])
    assert registry.types == ("a", "b")
    assert list(registry) == ["a", "b"]
    assert registry["a"].agent_type == "a"
    assert registry.get("c") is None
    assert not hasattr(registry, "__setitem__")


def test_building_the_builtin_agents_imports_no_heavy_library() -> None:
    """`copydesk status` must not pay for a grammar checker, textstat or pydantic-ai."""
    code = (
        "import sys; from worker.settings import Settings;"
        "from worker.agents.builtin import builtin_agents; builtin_agents(Settings());"
        "heavy = {'harper', 'textstat', 'pydantic_ai', 'openai', 'pkg_resources', 'pyphen'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_builtin_agents_are_the_five_that_are_promised(agents: Registry) -> None:
    """Each has a summary for `copydesk agents`, and only `llm` runs on the event loop."""
    assert agents.types == ("export", "import_document", "llm", "review", "revise")
    assert all(agent.summary.endswith(".") for agent in agents.values())
    assert [name for name in agents if agents[name].kind == "coroutine"] == ["llm"]
