"""`review`: measures a document, and files what it found as a document of its own.

The scores on the row that `review` files, `readability_score` (Flesch reading ease) and
`grammar_score` (problems per hundred words), are those of the document it reviewed; its metadata
names that document, version and execution. `output_data` carries all figures.
"""

from collections import Counter
from typing import Self

from pydantic import Field, model_validator

from worker.agents.builtin.grammar import GrammarChecker, Problem, dialect_of, grammar_score
from worker.agents.builtin.language import parse_language
from worker.agents.builtin.prose import read_prose
from worker.agents.builtin.readability import ReadabilityMeter
from worker.agents.builtin.report import Figures, write_report
from worker.agents.builtin.wording import Wording
from worker.agents.contract import Agent, Draft, Name, Outcome, ThreadContext, agent

_LONGEST_NAME = 50
_SUFFIX = "_review"


class ReviewInput(Wording):
    """Input of `review`: which document, and under which type to file the review."""

    document_type: Name
    version: int | None = Field(default=None, ge=1, description="default: the latest")
    into: Name | None = Field(default=None, description="default: <document_type>_review")

    @model_validator(mode="after")
    def _not_into_itself(self) -> Self:
        if self.into == self.document_type:
            raise ValueError("into: must differ from document_type; name the review's own type")
        return self

    @property
    def review_type(self) -> str:
        """The document type of the review; a long `document_type` is cut so that it fits."""
        cut = self.document_type[: _LONGEST_NAME - len(_SUFFIX)]
        return self.into or f"{cut}{_SUFFIX}"


def review_agent(checker: GrammarChecker, meter: ReadabilityMeter) -> Agent:
    """Return the agent `review`."""

    @agent("review", timeout=300)
    def review(context: ThreadContext, given: ReviewInput) -> Outcome:
        """Measure readability and grammar of a document and file the findings, worst first.

        Raises:
            AgentError: `document_not_found`, final.
        """
        document = context.document(given.document_type, given.version)
        language = parse_language(context.language)
        context.progress(0.1, f"reading {document.document_type} version {document.version}")
        prose = read_prose(document.content)
        context.progress(0.3, "measuring readability")
        readability = meter.measure(prose, language)
        problems: list[Problem] | None = None
        if language.is_english:
            context.progress(0.5, "checking grammar")
            problems = checker.check(prose, language, given.known(prose))
        context.progress(0.9, "writing the review")
        figures = Figures(
            document_type=document.document_type,
            version=document.version,
            language=context.language,
            readability=readability,
            dialect=dialect_of(language).lower() if problems is not None else None,
            grammar_score=(
                None if problems is None else grammar_score(len(problems), readability.words)
            ),
            problems=None if problems is None else len(problems),
            kinds=dict(Counter(problem.kind for problem in problems or ())),
        )
        draft = Draft(
            document_type=given.review_type,
            content=write_report(figures, problems),
            metadata={
                "reviewed": {
                    "document_type": document.document_type,
                    "version": document.version,
                    "execution_id": str(document.execution_id),
                }
            },
            readability_score=readability.score,
            grammar_score=figures.grammar_score,
        )
        return Outcome(output=figures.as_output(), drafts=[draft])

    return review
