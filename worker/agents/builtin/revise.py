"""`revise`: applies the grammar checker's first suggestions to a document's prose, nowhere else.

Code, links, images, HTML, front matter and reference definitions come out as they went in: an edit
is made only where every character it replaces is editable prose, and the result is parsed again to
see that everything else is unchanged. Where nothing can be applied, nothing is filed: a version
equal to its base would only be noise, and the output says `changed: 0`.
"""

from pydantic import Field

from worker.agents.builtin.grammar import Edit, GrammarChecker, Problem, grammar_score
from worker.agents.builtin.language import parse_language
from worker.agents.builtin.prose import Prose, read_prose
from worker.agents.builtin.readability import ReadabilityMeter
from worker.agents.builtin.wording import Wording
from worker.agents.contract import (
    Agent,
    AgentError,
    Draft,
    Name,
    Outcome,
    ThreadContext,
    agent,
)


class ReviseInput(Wording):
    """Input of `revise`: which document."""

    document_type: Name
    version: int | None = Field(default=None, ge=1, description="default: the latest")


def revise_agent(checker: GrammarChecker, meter: ReadabilityMeter) -> Agent:
    """Return the agent `revise`."""

    @agent("revise", timeout=300)
    def revise(context: ThreadContext, given: ReviseInput) -> Outcome:
        """Apply the grammar checker's first suggestions to the prose of an English document.

        Raises:
            AgentError: `language_not_supported` or `document_not_found`, both final.
        """
        language = parse_language(context.language)
        if not language.is_english:
            raise AgentError(
                f"the project's language is {context.language!r}; revise corrects English only",
                code="language_not_supported",
            )
        document = context.document(given.document_type, given.version)
        context.progress(0.1, f"checking {document.document_type} version {document.version}")
        prose = read_prose(document.content)
        known = given.known(prose)
        problems = checker.check(prose, language, known)
        context.progress(0.5, f"applying suggestions for {len(problems)} problems")
        applied = choose(prose, problems)
        output = {
            "document_type": document.document_type,
            "base_version": document.version,
            "problems": len(problems),
            "changed": len(applied),
            "changes": [_change(problem) for problem in applied],
        }
        if not applied:
            return Outcome(output=output)
        context.progress(0.7, f"measuring the revised text, {len(applied)} changes")
        revised = read_prose(apply(prose.source, applied))
        readability = meter.measure(revised, language)
        left = checker.check(revised, language, known)
        draft = Draft(
            document_type=document.document_type,
            content=revised.source,
            metadata={
                **document.metadata,
                "revised": {
                    "base_version": document.version,
                    "execution_id": str(document.execution_id),
                    "changes": len(applied),
                },
            },
            readability_score=readability.score,
            grammar_score=grammar_score(len(left), readability.words),
            base_version=document.version,
        )
        scores = {
            "readability_score": draft.readability_score,
            "grammar_score": draft.grammar_score,
            "problems_left": len(left),
        }
        return Outcome(output={**output, **scores}, drafts=[draft])

    return revise


def choose(prose: Prose, problems: list[Problem]) -> list[Problem]:
    """Return the problems whose first remedy can be applied together, in order of the text.

    Of overlapping remedies the one that stands last is taken.
    """
    chosen: list[Problem] = []
    limit = len(prose.source) + 1
    for problem in sorted(problems, key=lambda it: (it.start, it.end), reverse=True):
        edit = problem.remedy
        if edit is None or not prose.edits(problem.start, problem.end) or problem.end > limit:
            continue
        if prose.source[edit.start : edit.end] != edit.text:
            chosen.append(problem)
            limit = problem.start
    return _harmless(prose, chosen[::-1])


def apply(source: str, problems: list[Problem]) -> str:
    """Return `source` with the remedies of `problems`, which are sorted and do not overlap."""
    for edit in reversed([problem.remedy for problem in problems if problem.remedy]):
        source = _replaced(source, edit)
    return source


def _replaced(source: str, edit: Edit) -> str:
    return source[: edit.start] + edit.text + source[edit.end :]


def _harmless(prose: Prose, problems: list[Problem]) -> list[Problem]:
    """Return the problems whose remedies leave all that is not editable prose as it is.

    A replaced word can make markup of its neighbours (a line that now begins like a list). Such
    remedies are rare, so all are tried at once, and the culprits are found by halving.
    """
    kept: list[Problem] = []
    pending = [problems] if problems else []
    before = prose.kept()
    while pending:
        group = pending.pop()
        trial = sorted([*kept, *group], key=lambda it: it.start)
        if read_prose(apply(prose.source, trial)).kept() == before:
            kept = trial
        elif len(group) > 1:
            middle = len(group) // 2
            pending += [group[:middle], group[middle:]]
    return kept


def _change(problem: Problem) -> dict[str, object]:
    edit = problem.remedy
    after = "" if edit is None else problem.text[: edit.start - problem.start] + edit.text
    return {
        "line": problem.line,
        "kind": problem.kind,
        "before": problem.text,
        "after": after,
    }
