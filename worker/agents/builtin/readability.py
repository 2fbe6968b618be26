"""Readability: Flesch reading ease in the document's own language, or no score and the reason.

`textstat` has a formula of its own for some languages (Amstad for German, Fernandez Huerta for
Spanish, and so on) and silently takes the English one for all others. A score by another language's
formula means nothing, so those languages get none. Higher is easier; 60 to 70 is plain English.
"""

import re
import threading
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from worker.agents.builtin.language import Language
from worker.agents.builtin.prose import Prose

MINIMUM_WORDS = 10
"""Below this, a handful of syllables decides the score."""

_WORDS_KEPT = 100_000
_WORD = re.compile(r"\w+(?:['\u2019\-]\w+)*")
_SENTENCE_END = re.compile(r"[.!?][\"')\]\u201d\u2019]*$")


@dataclass(frozen=True, slots=True)
class Readability:
    """What was measured; `score` is None where there is none, and `reason` then says why."""

    words: int
    sentences: int
    score: float | None
    reason: str | None


class ReadabilityMeter:
    """Measures prose with `textstat`, which it loads on first use; safe to share by threads."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._textstat: Any = None

    def measure(self, prose: Prose, language: Language) -> Readability:
        """Return the figures of `prose`: words of everything, score of its running text.

        Table cells are counted as words but are no sentences, so they do not enter the score.
        """
        words = sum(count_words(block.text) for block in prose.blocks)
        running = [block.text for block in prose.blocks if block.kind != "cell"]
        text = "\n".join(map(_as_sentence, running))
        library = self._library()
        if not text or not words:
            return Readability(words, 0, None, "the document has no running text")
        statistics = library.textstatistics()
        try:
            sentences: int = statistics.sentence_count(text)
            if "fre_base" not in library.langs.get(language.root, {}):
                reason = f"there is no Flesch formula for the language {language.tag!r}"
                return Readability(words, sentences, None, reason)
            if (counted := count_words(text)) < MINIMUM_WORDS:
                reason = f"{counted} words of running text are too few; {MINIMUM_WORDS} are needed"
                return Readability(words, sentences, None, reason)
            statistics.set_lang("_".join(filter(None, (language.root, language.region))))
            return Readability(words, sentences, float(statistics.flesch_reading_ease(text)), None)
        finally:
            # The library caches whole texts, for all instances together; setting the language
            # empties those caches, so that no document outlives its measurement. The hyphenation
            # of every word ever seen is kept as well, by pyphen.
            words_seen = statistics.pyphen.hd.cache
            if len(words_seen) > _WORDS_KEPT:
                words_seen.clear()
            statistics.set_lang("en_US")

    def _library(self) -> Any:  # noqa: ANN401 - the library is untyped
        with self._loading:
            if self._textstat is None:
                with warnings.catch_warnings():
                    # textstat 0.7.4 imports pkg_resources, which warns whoever imports it.
                    warnings.filterwarnings("ignore", message=".*pkg_resources")
                    self._textstat = import_module("textstat.textstat")
            return self._textstat


def count_words(text: str) -> int:
    """Return how many words `text` has; a contraction or a hyphenated word is one."""
    return sum(1 for _ in _WORD.finditer(text))


def _as_sentence(text: str) -> str:
    # A heading or list item without a full stop would run on into the next block.
    return text if _SENTENCE_END.search(text) else f"{text}."
