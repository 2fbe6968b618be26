"""The agents of this process, found once and then fixed: agent type -> agent.

Two places are searched. Installed packages name theirs in the entry-point group `copydesk.agents`;
a deployment names more in `COPYDESK_AGENTS`, each as `module:name`, or as a module whose attribute
`agents` is meant. What is found there may be an `Agent`, an iterable of Agents, or a callable that
takes the `Settings` and returns either. One agent type has one agent: two are refused by name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter

from worker.agents.contract import Agent
from worker.errors import AgentNotFoundError, CopydeskError, SettingsError
from worker.settings import Settings

GROUP = "copydesk.agents"


@dataclass(frozen=True, slots=True)
class Source:
    """One place that names agents: a label for people, and how to load what stands there."""

    label: str
    load: Callable[[], object]


class Registry(Mapping[str, Agent]):
    """Agents by agent type; immutable, iterated in the order of the types."""

    __slots__ = ("_agents",)

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self._agents = _by_type((f"agent {agent.agent_type!r}", agent) for agent in agents)

    def __getitem__(self, agent_type: str) -> Agent:
        return self._agents[agent_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)

    def __repr__(self) -> str:
        return f"Registry({', '.join(self.types)})"

    @property
    def types(self) -> tuple[str, ...]:
        """Every agent type, sorted."""
        return tuple(self._agents)


def load_agents(settings: Settings) -> Registry:
    """Return every agent that is installed or named in the settings.

    Raises:
        AgentNotFoundError: references that cannot be imported, or that are not agents; one message
            names each of them and the cause.
        SettingsError: two different agents have the same agent type; names both sources.
    """
    found: list[tuple[str, Agent]] = []
    faults: list[str] = []
    for source in (*_installed(), *_named(settings)):
        try:
            found.extend((source.label, agent) for agent in _agents(source.load(), settings))
        # Whatever a foreign module raises while it is imported becomes one line about it.
        except Exception as error:  # noqa: BLE001
            faults.append(_fault(source.label, error, settings))
    if faults:
        raise AgentNotFoundError("; ".join(faults))
    _by_type(found)
    return Registry({id(agent): agent for _, agent in found}.values())


def _installed() -> list[Source]:
    # A distribution that is on the path twice (checkout and wheel) lists its entries twice.
    points = dict.fromkeys(sorted((point.name, point.value) for point in entry_points(group=GROUP)))
    return [
        Source(f"entry point {name} ({value})", lambda value=value: _load(value))  # type: ignore[misc]
        for name, value in points
    ]


def _named(settings: Settings) -> list[Source]:
    return [
        Source(f"COPYDESK_AGENTS entry {reference!r}", lambda it=reference: _load(it))  # type: ignore[misc]
        for reference in settings.agents
    ]


def _load(reference: str) -> object:
    module, _, name = reference.partition(":")
    return attrgetter(name.strip() or "agents")(import_module(module.strip()))


def _agents(found: object, settings: Settings) -> list[Agent]:
    if callable(found):
        found = found(settings)
    if isinstance(found, Agent):
        return [found]
    if not isinstance(found, Iterable):
        raise TypeError(f"is {_kind(found)}, neither an Agent nor several; make it one with @agent")
    agents = list(found)
    strangers = [item for item in agents if not isinstance(item, Agent)]
    if strangers:
        raise TypeError(f"holds {_kind(strangers[0])}, which is not an Agent; use @agent")
    return agents


def _kind(value: object) -> str:
    return f"an object of type {type(value).__name__!r}"


def _fault(label: str, error: Exception, settings: Settings) -> str:
    if isinstance(error, CopydeskError):
        cause = error.message
    else:
        cause = f"{type(error).__name__}: {error}"
    fault = " ".join(f"{label} cannot be loaded: {cause}".split())
    for secret in settings.secrets():
        fault = fault.replace(secret, "***")
    return fault


def _by_type(found: Iterable[tuple[str, Agent]]) -> dict[str, Agent]:
    owners: dict[str, tuple[str, Agent]] = {}
    clashes = []
    for label, agent in found:
        first, known = owners.setdefault(agent.agent_type, (label, agent))
        if known is not agent:
            clashes.append(f"{agent.agent_type!r} comes from {first} and from {label}")
    if clashes:
        raise SettingsError(
            f"one agent type, one agent: {'; '.join(clashes)}; remove or rename one of them"
        )
    return {agent_type: owners[agent_type][1] for agent_type in sorted(owners)}
