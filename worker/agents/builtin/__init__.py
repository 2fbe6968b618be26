"""The agents that come with copydesk: real work, offline, and a refusal where they cannot do it.

Importing this package and building the list is cheap: the grammar checker, the readability library
and pydantic-ai are loaded by the first attempt that uses them.
"""

from worker.agents.builtin.export import export_agent
from worker.agents.builtin.grammar import GrammarChecker
from worker.agents.builtin.import_document import import_agent
from worker.agents.builtin.readability import ReadabilityMeter
from worker.agents.builtin.review import review_agent
from worker.agents.builtin.revise import revise_agent
from worker.agents.builtin.writer import writer_agent
from worker.agents.contract import Agent
from worker.settings import Settings


def builtin_agents(settings: Settings) -> list[Agent]:
    """Return the built-in agents; they share one grammar checker and one readability meter."""
    checker = GrammarChecker()
    meter = ReadabilityMeter()
    return [
        import_agent(),
        review_agent(checker, meter),
        revise_agent(checker, meter),
        export_agent(settings),
        writer_agent(settings),
    ]
