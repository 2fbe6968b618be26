"""`review`: real scores or none and the reason, and findings with line numbers, worst first."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError

from worker.agents.builtin.grammar import SEVERITY, GrammarChecker
from worker.agents.builtin.language import parse_language
from worker.agents.builtin.prose import read_prose
from worker.agents.builtin.readability import ReadabilityMeter
from worker.agents.contract import AgentError
from worker.agents.registry import Registry

from .desk import EARLIER, Desk, only_draft

ENGLISH = """# Notes

The cat sat on the mat. The dog ran to the park and played with a ball.

```python
teh = "an mistake"
```

I recieve the the letters every day. This is an test of the checker.
"""
GERMAN = "Der Hund läuft durch den Garten. Die Katze schläft heute lange auf dem warmen Sofa. " * 2


async def test_a_review_names_its_findings_with_line_numbers_worst_first(
    desk: Desk, agents: Registry
) -> None:
    """What is wrong comes before what is a matter of taste; lines are the document's own."""
    desk.file("notes", ENGLISH)
    outcome = await desk.run(agents["review"], document_type="notes")
    draft = only_draft(outcome)
    assert draft.document_type == "notes_review"
    found = re.findall(
        r"^\d+\. Line (\d+), (\w+): `([^`]+)` -> `([^`]+)`", draft.content, re.MULTILINE
    )
    assert found == [
        ("9", "Spelling", "recieve", "receive"),
        ("9", "Repetition", "the the", "the"),
        ("9", "Miscellaneous", "an", "a"),
    ]
    ranks = [SEVERITY.index(kind) for _, kind, _, _ in found]
    assert ranks == sorted(ranks)


async def test_the_figures_stand_in_the_output_and_the_scores_on_the_row(
    desk: Desk, agents: Registry
) -> None:
    """`grammar_score` is problems per hundred words; `readability_score` is Flesch's."""
    desk.file("notes", ENGLISH)
    outcome = await desk.run(agents["review"], document_type="notes")
    draft, figures = only_draft(outcome), outcome.output
    assert figures["words"] == 32
    assert figures["problems"] == 3
    assert figures["problems_by_kind"] == {"Miscellaneous": 1, "Repetition": 1, "Spelling": 1}
    assert draft.grammar_score == figures["grammar_score"] == round(100 * 3 / 32, 2)
    assert draft.readability_score == figures["readability_score"]
    assert 80 < figures["readability_score"] < 121.22
    assert draft.metadata == {
        "reviewed": {"document_type": "notes", "version": 1, "execution_id": str(EARLIER)}
    }
    assert f"| {figures['grammar_score']:g} |" in draft.content


async def test_other_languages_get_readability_by_their_own_formula_and_no_grammar(
    desk: Desk, agents: Registry
) -> None:
    """The grammar checker knows English only, so German has NULL, not an English opinion."""
    desk.language = "de-AT"
    desk.file("notes", GERMAN)
    outcome = await desk.run(agents["review"], document_type="notes")
    draft = only_draft(outcome)
    assert draft.readability_score is not None
    assert draft.grammar_score is None
    assert outcome.output["problems"] is None
    assert outcome.output["grammar_reason"] == "the grammar checker knows English only"
    assert "Grammar was not checked." in draft.content


def test_german_is_scored_by_amstad() -> None:
    """180 - words per sentence - 58.5 x syllables per word, not Flesch's English weights."""
    prose = read_prose(GERMAN)
    german = ReadabilityMeter().measure(prose, parse_language("de")).score
    english = ReadabilityMeter().measure(prose, parse_language("en")).score
    # 6 and 9 words a sentence; 1.4 syllables a word, as the library hyphenates and rounds.
    assert german == pytest.approx(180 - 7.5 - 58.5 * 1.4, abs=0.01)
    assert german != english


@pytest.mark.parametrize("language", ["pl", "ja", "xx", "sv-SE"])
async def test_a_language_without_a_formula_gets_no_score_and_the_reason(
    desk: Desk, agents: Registry, language: str
) -> None:
    """The library would take the English formula in silence; a made-up score is worse than none."""
    desk.language = language
    desk.file("notes", GERMAN)
    outcome = await desk.run(agents["review"], document_type="notes")
    assert only_draft(outcome).readability_score is None
    assert language in outcome.output["readability_reason"]


async def test_too_few_words_get_no_readability_and_the_reason(
    desk: Desk, agents: Registry
) -> None:
    """Nine words say nothing about readability; the grammar of nine words can be counted."""
    desk.file("notes", "This is an test.")
    outcome = await desk.run(agents["review"], document_type="notes")
    draft = only_draft(outcome)
    assert draft.readability_score is None
    assert "too few" in outcome.output["readability_reason"]
    assert draft.grammar_score == 25.0


async def test_a_document_of_code_alone_has_no_scores(desk: Desk, agents: Registry) -> None:
    """Code is not prose: nothing to count, nothing to divide by."""
    desk.file("notes", "```\nteh code is an mistake\n```\n")
    outcome = await desk.run(agents["review"], document_type="notes")
    draft = only_draft(outcome)
    assert (draft.readability_score, draft.grammar_score) == (None, None)
    assert (outcome.output["words"], outcome.output["problems"]) == (0, 0)


async def test_a_review_reads_the_version_it_is_told_or_the_latest(
    desk: Desk, agents: Registry
) -> None:
    """And it files under the name it is told."""
    desk.file("notes", "I recieve it.")
    desk.file("notes", "I receive it.")
    latest = await desk.run(agents["review"], document_type="notes")
    first = await desk.run(agents["review"], document_type="notes", version=1, into="old")
    assert (latest.output["version"], latest.output["problems"]) == (2, 0)
    assert (first.output["version"], first.output["problems"]) == (1, 1)
    assert only_draft(first).document_type == "old"
    assert "None." in only_draft(latest).content


async def test_a_long_name_is_cut_so_that_the_reviews_name_fits(
    desk: Desk, agents: Registry
) -> None:
    """A document type has at most 50 characters, with `_review` too."""
    desk.file("n" * 50, "Some text.")
    outcome = await desk.run(agents["review"], document_type="n" * 50)
    assert only_draft(outcome).document_type == "n" * 43 + "_review"


async def test_a_review_cannot_replace_the_document_it_reviews(
    desk: Desk, agents: Registry
) -> None:
    """Filed under the same type it would become the document's latest version."""
    with pytest.raises(ValidationError, match="into: must differ"):
        await desk.run(agents["review"], document_type="notes", into="notes")


async def test_a_missing_document_is_final(desk: Desk, agents: Registry) -> None:
    """The reader's refusal reaches the caller as it is."""
    with pytest.raises(AgentError) as refused:
        await desk.run(agents["review"], document_type="notes")
    assert (refused.value.code, refused.value.retryable) == ("document_not_found", False)


@pytest.mark.parametrize(
    ("language", "word", "wrong"),
    [
        ("en", "colour", True),
        ("en-US", "colour", True),
        ("en-GB", "colour", False),
        ("EN_gb", "colour", False),
        ("en-GB", "color", True),
        ("en-AU", "colour", False),
        ("en-CA", "colour", False),
        ("en-IN", "colour", False),
        ("en-NZ", "colour", False),
    ],
)
def test_the_region_decides_the_dialect(
    checker: GrammarChecker, language: str, word: str, wrong: bool
) -> None:
    """Right in London is wrong in Boston."""
    prose = read_prose(f"The {word} of the sky is blue.")
    problems = checker.check(prose, parse_language(language))
    assert bool([it for it in problems if it.kind in ("Spelling", "Regionalism")]) is wrong


def test_names_are_not_misspelled(checker: GrammarChecker) -> None:
    """Words with digits or capitals inside, and the words one declares, are names."""
    prose = read_prose("We use arq, RLS, PgBouncer, p50, and jobs/s with PostgreSQL.")
    english = parse_language("en")
    assert [it.text for it in checker.check(prose, english)] == ["arq"]
    assert checker.check(prose, english, known_words=["ARQ"]) == []


async def test_words_that_the_document_writes_as_code_can_be_taken_for_names(
    desk: Desk, agents: Registry
) -> None:
    """Off unless asked for, because a slip may stand in code as well."""
    desk.file("notes", "Install `asyncpg`. Then asyncpg is there for everybody.\n")
    strict = await desk.run(agents["review"], document_type="notes")
    lenient = await desk.run(agents["review"], document_type="notes", names_in_code=True)
    assert (strict.output["problems"], lenient.output["problems"]) == (1, 0)


def test_many_threads_share_one_checker_and_one_meter() -> None:
    """A linter serves one thread at a time, and textstat keeps its language in a global."""
    checker, meter = GrammarChecker(linters=2), ReadabilityMeter()
    english, german = parse_language("en"), parse_language("de")
    prose, deutsch = read_prose(ENGLISH), read_prose(GERMAN)

    def work(number: int) -> tuple[int, float | None, float | None]:
        region = parse_language(("en-US", "en-GB", "en-AU")[number % 3])
        return (
            len(checker.check(prose, region)),
            meter.measure(prose, english).score,
            meter.measure(deutsch, german).score,
        )

    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(work, range(24)))
    assert len(results) == 1
    assert next(iter(results))[0] == 3
    assert len(checker._idle) <= 2


async def test_progress_is_reported_and_never_goes_back(desk: Desk, agents: Registry) -> None:
    """A person watching sees what is being done."""
    desk.file("notes", ENGLISH)
    await desk.run(agents["review"], document_type="notes")
    fractions = [fraction for fraction, _ in desk.reports if fraction is not None]
    assert len(fractions) >= 3
    assert fractions == sorted(fractions)
    assert all(message for _, message in desk.reports)


async def test_a_finding_cannot_break_the_review_it_stands_in(desk: Desk, agents: Registry) -> None:
    """Quoted text stays one line of inline code, whatever it holds."""
    desk.file("notes", "It is the\nthe end, and ``a ` b`` is an\n`x` mistake, is is it?\n")
    draft = only_draft(await desk.run(agents["review"], document_type="notes"))
    findings = draft.content.split("## Findings\n\n")[1].strip().splitlines()
    assert findings
    assert all(re.match(r"\d+\. Line \d+, ", line) for line in findings)
