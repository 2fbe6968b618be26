"""`revise`: first suggestions applied to prose, and everything else as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from worker.agents.builtin.grammar import Edit, GrammarChecker, Problem
from worker.agents.builtin.language import parse_language
from worker.agents.builtin.prose import read_prose
from worker.agents.builtin.revise import apply, choose
from worker.agents.contract import AgentError
from worker.agents.registry import Registry

from .desk import EARLIER, Desk, only_draft

ENGLISH = parse_language("en")

# Everything here holds mistakes, and none of them may be mended.
PROTECTED_INLINE = (
    "`teh recieve`",
    "``an test ` teh``",
    "[teh recieve](https://teh.example/recieve 'an test')",
    "[teh *recieve*][ref]",
    "[recieve]",
    "![an test](teh.png)",
    "<https://teh.example/recieve>",
    "https://teh.example/recieve",
    "www.recieve.example",
    "teh@recieve.example",
    "<b class='recieve'>teh recieve</b>",
    "<kbd>recieve</kbd>",
    "<!-- teh recieve -->",
    "recieve_teh_file",
    "docs/recieve.md",
    "[^recieve]",
    "[[an test recieve]]",
    "$recieve$",
    "{{ recieve }}",
    "\\*recieve",
    "recieve&nbsp;teh",
)
PROTECTED_BLOCKS = (
    "```text\nteh recieve\n\nan test\n```",
    "~~~\n> teh recieve\n~~~",
    "    teh recieve\n\n    an test",
    "<div>\nteh recieve an test\n</div>",
    "<pre>\n\nteh recieve\n\n</pre>",
    "<!-- teh\n\nrecieve an test -->",
    "<script>\nteh = 'recieve'\n</script>",
    "[teh]: https://recieve.example/teh 'an test'",
    "> ```\n> teh recieve\n> ```",
    "- item\n\n  ```\n  teh recieve\n  ```",
    "***",
)
PROSE = ("This is an test of the desk.", "I recieve teh letter.", "We met at the the gate.")
MENDED = ("This is a test of the desk.", "I receive the letter.", "We met at the gate.")


def revised(checker: GrammarChecker, source: str) -> str:
    """Return `source` as `revise` would file it."""
    prose = read_prose(source)
    return apply(source, choose(prose, checker.check(prose, ENGLISH)))


def outline(source: str) -> list[tuple[str, str]]:
    """Return the structure a renderer sees, with the content of all but running text."""
    parser = MarkdownIt("commonmark").enable("table")
    found: list[tuple[str, str]] = []
    for token in parser.parse(source):
        found.append((token.type, "" if token.type == "inline" else token.content))
        # A word repeated across a line break is mended by joining the lines.
        found += [
            (child.type, child.content + repr(child.attrs))
            for child in token.children or ()
            if child.type not in ("text", "softbreak")
        ]
    return found


@pytest.mark.parametrize(("slip", "mended"), list(zip(PROSE, MENDED, strict=True)))
@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "# Title\n\n{}",
        "- {}",
        "> {}",
        "1. {}\n2. Two.",
        "**Note:** {}",
        "{}\n{}",
        "All is well.\r\n{}",
    ],
)
def test_slips_in_prose_are_mended_wherever_prose_stands(
    checker: GrammarChecker, frame: str, slip: str, mended: str
) -> None:
    """Paragraphs, lists and quotes hold prose, with any line ending."""
    assert revised(checker, frame.replace("{}", slip)) == frame.replace("{}", mended)


@pytest.mark.parametrize("protected", PROTECTED_INLINE)
def test_what_is_not_prose_within_a_line_stays(checker: GrammarChecker, protected: str) -> None:
    """The same slip is mended before and after it."""
    before, after = (
        "I recieve teh letter, then {} and teh rest.",
        "I receive the letter, then {} and",
    )
    source = f"{before.format(protected)}\n\n[ref]: https://teh.example\n"
    result = revised(checker, source)
    assert result.startswith(after.format(protected))
    assert result.endswith("\n\n[ref]: https://teh.example\n")


@pytest.mark.parametrize("protected", PROTECTED_BLOCKS)
def test_blocks_that_are_not_prose_stay(checker: GrammarChecker, protected: str) -> None:
    """Code, HTML and definitions come out as they went in, between paragraphs that change."""
    source = f"I recieve teh letter.\n\n{protected}\n\nI recieve teh letter.\n"
    expected = f"I receive the letter.\n\n{protected}\n\nI receive the letter.\n"
    assert revised(checker, source) == expected


@pytest.mark.parametrize("fence", ["---", "+++"])
def test_front_matter_stays(checker: GrammarChecker, fence: str) -> None:
    """What a site generator reads is no prose, although Markdown would call it a heading."""
    front = f"{fence}\ntitle: I recieve teh letter\n{fence}\n\n"
    assert revised(checker, front + PROSE[1]) == front + MENDED[1]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_document_has_anything_but_prose_changed(
    checker: GrammarChecker, data: st.DataObject
) -> None:
    """Whatever is combined: protected pieces stay verbatim, and so does the outline."""
    inline = st.sampled_from(PROTECTED_INLINE)
    words = st.sampled_from((*PROSE, "teh", "-", "It go on,", "**teh bold**", "é😀", "a  b"))
    line = st.lists(st.one_of(words, inline), min_size=1, max_size=5).map(" ".join)
    frame = st.sampled_from(("{}", "# {}", "- {}", "> {}", "1. {}", "| {} |\n|---|\n| teh |"))
    text = st.builds(lambda form, content: form.format(content), frame, line)
    # Indented code has a test of its own: after a list item the same text is a paragraph.
    protected = [block for block in PROTECTED_BLOCKS if not block.startswith(" ")]
    blocks = data.draw(st.lists(st.one_of(text, st.sampled_from(protected)), max_size=5))
    end = data.draw(st.sampled_from(("\n\n", "\r\n\r\n")))
    source = end.join([*blocks, "[ref]: https://teh.example"])

    result = revised(checker, source)

    assert outline(result) == outline(source)
    for piece in (*PROTECTED_INLINE, *protected):
        assert result.count(piece) == source.count(piece), f"{piece!r} was changed"


@settings(max_examples=150, deadline=None)
@given(source=st.text(alphabet="teh recieve an`*_[]()<>#\n-|\\&;:/!$~1.\r\t", max_size=120))
def test_no_text_at_all_has_its_structure_changed(checker: GrammarChecker, source: str) -> None:
    """Not even one that no person would write."""
    assert outline(revised(checker, source)) == outline(source)


def problem(source: str, start: int, end: int, text: str) -> Problem:
    """Return a problem whose remedy replaces `source[start:end]`."""
    return Problem(1, start, end, source[start:end], "Typo", "", Edit(start, end, text))


def test_of_overlapping_suggestions_the_last_is_applied() -> None:
    """Applying both would garble the text; the one that stands last wins."""
    source = "one two three"
    found = [
        problem(source, 0, 7, "1 2"),
        problem(source, 4, 13, "2 3"),
        problem(source, 0, 3, "1"),
    ]
    assert apply(source, choose(read_prose(source), found)) == "1 2 3"


def test_a_suggestion_that_would_make_markup_is_left_out() -> None:
    """A paragraph must not become a list or a heading; the other suggestions are applied."""
    source = "one two\n\nthree four\n\nfive six\n"
    found = [
        problem(source, 0, 3, "1st"),
        problem(source, 9, 14, "#"),
        problem(source, 21, 25, "5th"),
    ]
    assert apply(source, choose(read_prose(source), found)) == "1st two\n\nthree four\n\n5th six\n"


async def test_the_next_version_is_filed_with_its_own_scores_and_its_base(
    desk: Desk, agents: Registry
) -> None:
    """The row says what it was made from, and how good it is now."""
    desk.file(
        "notes",
        "# Notes\n\nI recieve `teh` letter, and this is an test of it.\n",
        metadata={"a": 1},
    )
    outcome = await desk.run(agents["revise"], document_type="notes")
    draft = only_draft(outcome)
    assert draft.content == "# Notes\n\nI receive `teh` letter, and this is a test of it.\n"
    assert (draft.document_type, draft.base_version) == ("notes", 1)
    assert draft.grammar_score == 0.0
    assert draft.readability_score is not None
    assert draft.metadata == {
        "a": 1,
        "revised": {"base_version": 1, "execution_id": str(EARLIER), "changes": 2},
    }
    assert outcome.output["changed"] == 2
    assert outcome.output["changes"] == [
        {"line": 3, "kind": "Spelling", "before": "recieve", "after": "receive"},
        {"line": 3, "kind": "Miscellaneous", "before": "an", "after": "a"},
    ]


async def test_without_a_change_nothing_is_filed(desk: Desk, agents: Registry) -> None:
    """A version equal to its base would only be noise."""
    desk.file("notes", "This is a test of the desk.\n")
    outcome = await desk.run(agents["revise"], document_type="notes")
    assert (outcome.drafts, outcome.output["changed"]) == ([], 0)
    assert outcome.output["base_version"] == 1


async def test_an_older_version_can_be_revised(desk: Desk, agents: Registry) -> None:
    """The base is the version that was asked for."""
    desk.file("notes", "I recieve a letter.")
    desk.file("notes", "Other text.")
    outcome = await desk.run(agents["revise"], document_type="notes", version=1)
    assert only_draft(outcome).base_version == 1


async def test_known_words_are_left_as_they_are(desk: Desk, agents: Registry) -> None:
    """A project's own terms are not slips."""
    desk.file("notes", "I recieve arq and asyncpg.")
    given = {"document_type": "notes", "known_words": ["arq", "AsyncPG"]}
    assert (
        only_draft(await desk.run(agents["revise"], **given)).content
        == "I receive arq and asyncpg."
    )


async def test_another_language_is_refused(desk: Desk, agents: Registry) -> None:
    """English suggestions for German text would be made up."""
    desk.language = "de"
    desk.file("notes", "Das ist ein Test.")
    with pytest.raises(AgentError, match="'de'") as refused:
        await desk.run(agents["revise"], document_type="notes")
    assert (refused.value.code, refused.value.retryable) == ("language_not_supported", False)
