"""What of a Markdown document is prose: what is read, and what may be edited."""

import pytest

from worker.agents.builtin.inline import EDIT
from worker.agents.builtin.prose import read_prose


def editable(source: str) -> str:
    """Return the source with a dot in place of each character that may not be edited."""
    marks = read_prose(source).marks
    return "".join(
        character if mark == EDIT or character == "\n" else "."
        for character, mark in zip(source, marks, strict=True)
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain teh text", "plain teh text"),
        ("# Head teh ##", "..Head teh..."),
        ("Set teh\n===", "Set teh\n..."),
        ("a `teh` b", "a ..... b"),
        ("a ``teh ` teh`` b", "a ............. b"),
        ("`teh`s words", "...... words"),
        ("```\nteh\n```", "...\n...\n..."),
        ("~~~ teh\nteh", ".......\n..."),
        ("    teh code", "............"),
        ("- item\n\n      teh code", "..item\n\n.............."),
        ("> quote teh\n> more", "..quote teh\n..more"),
        ("> quote\nlazy teh", "..quote\nlazy teh"),
        ("1. one\n   two\n   - three", "...one\n...two\n.....three"),
        ("[teh](http://teh.x)", "..................."),
        ('see [teh](teh "teh") now', "see ................ now"),
        ("see ![teh](teh.png) now", "see ............... now"),
        ("see <http://teh.x> now", "see .............. now"),
        ("see http://teh.x/teh now", "see ................ now"),
        ("see www.teh.x, now", "see .......... now"),
        ("mail teh@teh.x now", "mail ......... now"),
        ("file teh.md or a\\teh", "file ...... or ....."),
        ("name teh_teh_x and x=teh", "name ......... and ....."),
        ("[teh]: http://x 'teh'\n\ntext [teh]", "." * 21 + "\n\ntext ....."),
        ("note[^teh] and [[teh page]]", "note...... and ............"),
        ("a <b>teh</b> c", "a .......... c"),
        ("a <b>teh\nteh c", "a ......\n....."),
        ("a <br> teh", "a .... teh"),
        ("<div>\nteh\n</div>\n\nteh", ".....\n...\n......\n\nteh"),
        ("<!-- teh\n\nteh -->\n\nteh", "........\n\n.......\n\nteh"),
        ("<pre>\n\nteh\n\n</pre>\n\nteh", ".....\n\n...\n\n......\n\nteh"),
        (
            "<div><code>\n\nteh\n\n</code></div>\n\nteh",
            "...........\n\n...\n\n.............\n\nteh",
        ),
        ("<p>\n\nteh\n\n</p>", "...\n\nteh\n\n...."),
        ("it is `<pre>` here\n\nteh", "it is ....... here\n\nteh"),
        ("**teh** _teh_ ~~teh~~", "..teh.. .teh. ..teh.."),
        ("a \\* teh&amp;teh teh", "a .. ........... teh"),
        ("$teh$ and $$teh$$ teh", "..... and ....... teh"),
        ("{{ teh }} {% teh %} teh", "......... ......... teh"),
        ("| a | teh |\n|---|---|\n| teh | `x` |", "..a...teh..\n.........\n..teh........"),
        ("> | a |\n> |---|\n> | teh |", "....a..\n.......\n....teh.."),
        ("| a \\| b | teh |\n|---|---|", "................\n........."),
        ("---\ntitle: teh\n---\n\nteh", "...\n..........\n...\n\nteh"),
        ("+++\ntitle = 'teh'\n+++\nteh", "...\n.............\n...\nteh"),
        ("---\n\nteh\n\n---\n", "...\n\nteh\n\n...\n"),
        ("teh  \nteh\\\nteh", "teh..\n....\nteh"),
        ("teh\r\nteh\rteh", "teh\r\nteh\rteh"),
        ("teh\x00teh teh", "..........."),
        ("\ufeff# teh", "\ufeff# teh"),
        ("\tteh", "...."),
        ("> > > teh", "......teh"),
        ("- [ ] teh", "..... teh"),
        ("😀 teh", "😀 teh"),
        ("", ""),
    ],
)
def test_only_plain_text_may_be_edited(source: str, expected: str) -> None:
    """A dot is a character that no edit may touch; in doubt there is a dot."""
    assert editable(source) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("See [the *page*](http://x.y/z 'title') and `code`.", "See the page and ."),
        ("An ![image](x.png) <kbd>Ctrl</kbd> <em>word</em>", "An word"),
        ("one\ntwo  \nthree", "one two three"),
        ("**bold**ly", "boldly"),
        ("[ref][x] [y]\n\n[x]: http://x", "ref [y]"),
    ],
)
def test_what_is_read_is_text_and_link_text_without_code_addresses_and_tags(
    source: str, text: str
) -> None:
    """Words are counted in what a reader reads as sentences."""
    assert [block.text for block in read_prose(source).blocks] == [text]


def test_blocks_know_their_kind_and_line() -> None:
    """Lines are counted from 1, in the document as it is, front matter included."""
    source = "---\na: b\n---\n# H\n\ntext\nmore\n\n| c |\n|---|\n| d |\n"
    blocks = [(block.kind, block.line, block.text) for block in read_prose(source).blocks]
    assert blocks == [
        ("heading", 4, "H"),
        ("paragraph", 6, "text more"),
        ("cell", 9, "c"),
        ("cell", 11, "d"),
    ]


@pytest.mark.parametrize(
    "source",
    ["[" * 20_000, "<b>" * 5_000, "{{" * 20_000, "a" * 200_000, "`" * 9_999, "> " * 2_000 + "x"],
)
def test_hostile_markup_takes_no_more_than_seconds(source: str) -> None:
    """Every search is bounded, so that one document cannot keep a worker's thread busy."""
    assert len(read_prose(source).marks) == len(source)
