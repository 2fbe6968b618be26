"""What agents answer, raise and log although they should not; the kinds stand in `misdeeds`."""

from tests.bad_input.row import Row
from tests.support.misdeeds import NO_ANSWER, RAISED, SAID, STRANGE_ERRORS, TOO_LARGE

AGENT = "agent"

_NUMBER = {
    "B22": ("nul", "nul_in_a_key", "draft_nul"),
    "B23": ("surrogate", "content_surrogate"),
    "B24": ("nan", "infinity", "metadata_nan", "score_nan"),
    "B25": ("digits", "decimal", "number_as_key", "none_as_key", "base_huge", "base_to_come"),
    "B26": ("too_deep", "endless", "circular"),
    "B29": (
        "snooze_without_zone",
        "snooze_without_time",
        "snooze_out_of_range",
        "snooze_infinity",
        "retry_without_time",
        "export_for_ever",
    ),
    "B37": (
        "none",
        "generator",
        "async_generator",
        "coroutine",
        "bytes",
        "set",
        "text",
        "number",
        "dict",
        "list",
        "function",
        "exception",
        "ellipsis",
        "not_implemented",
        "class",
        "liar",
        "unprintable",
    ),
    "B38": ("huge", "draft_huge"),
    "B41": (
        "retry_unprintable",
        "cancel_unprintable",
        "retry_exits",
        "cancel_interrupts",
        "cancel_cancels",
        "derived",
    ),
    "B44": (
        "type_empty",
        "type_path",
        "type_long",
        "type_nul",
        "type_composed",
        "type_decomposed",
        "type_refused",
        "type_extra",
        "same_type_twice",
        "export_suffix",
    ),
}

# What of the message tells its reader which rule was broken.
_RULES = {
    "none": "returned NoneType; it must return one of Outcome, Retry, Snooze, Cancel",
    "async_generator": "returned async_generator",
    "nul": "output: contains a NUL character",
    "nul_in_a_key": "output: contains a NUL character",
    "draft_nul": "drafts.notes.content: contains a NUL",
    "surrogate": "output: contains a lone surrogate",
    "content_surrogate": "drafts.notes.content: contains a lone surrogate",
    "nan": "output: contains NaN or Infinity",
    "metadata_nan": "drafts.notes.metadata: contains NaN",
    "score_nan": "grammar_score: ",
    "digits": "4,300 digits",
    "decimal": "output: is not JSON: Object of type Decimal",
    "number_as_key": "output: has a key that is not text",
    "none_as_key": "output: has a key that is not text",
    "too_deep": "output: is nested deeper than 200 levels",
    "circular": "output: refers to itself",
    "huge": "at most 1000000 bytes",
    "draft_huge": "at most 1000000 bytes",
    "base_huge": "base_version: ",
    "base_to_come": "base_version: the document has no such version",
    "same_type_twice": "two have the same document_type",
    "type_path": "document_type: ",
    "type_decomposed": "document_type: ",
    "export_suffix": "suffix: ",
    "export_manifest": "exports.manifest: is not JSON",
    "export_for_ever": "lifetime: ",
    "snooze_without_zone": "Snooze.until: has no time zone",
    "snooze_out_of_range": "Snooze.until: is out of range",
}

_NUMBERED = {kind: number for number, kinds in _NUMBER.items() for kind in kinds}

ANSWERS = [
    Row(
        _NUMBERED.get(kind, "B36"),
        AGENT,
        kind,
        kind,
        "output_too_large" if kind in TOO_LARGE else "output_invalid",
        "",
        _RULES.get(kind, ""),
    )
    for kind in NO_ANSWER
]
"""`input` is the kind of answer; each is final at the first attempt."""

IN_A_PROCESS = {
    *("none", "generator", "liar", "unprintable", "nul", "surrogate", "nan", "digits", "too_deep"),
    *("endless", "circular", "number_as_key", "decimal", "no_json", "unchecked", "changed", "huge"),
    *("draft_nul", "draft_huge", "base_huge", "base_to_come", "type_path", "type_decomposed"),
    *("export_suffix", "export_content", "export_manifest", "retry_without_time", "retry_exits"),
    *("cancel_interrupts", "snooze_without_zone", "snooze_out_of_range", "derived"),
    *("SystemExit", "OwnBaseError", "UnprintableError", "HugeError", "RecursionError"),
    *("cancelled", "code_is_no_text", "message_is_unstorable", "message_is_huge"),
    *("colours", "line_ends", "key", "password_by_name", "long_word", "surrogate", "deep"),
}
"""What goes over the wire to another process, or ends there; the rest is judged alike."""

# Found out on the way, in words of its own, when a process sends it; the code is the same.
WORDED_ELSEWHERE = {
    *("nul", "surrogate", "content_surrogate", "huge", "draft_huge", "circular", "decimal"),
    *("number_as_key", "none_as_key", "export_manifest", "snooze_out_of_range", "too_deep"),
    *("base_huge", "type_path", "type_decomposed", "export_suffix", "export_for_ever", "digits"),
    *("score_nan", "snooze_without_zone", "same_type_twice"),
}

RAISES = [Row("B41", AGENT, kind, kind, "agent_exception") for kind in (*RAISED, "RecursionError")]
"""`input` is the kind of exception; nothing of its text is kept."""

REFUSALS = [Row("B41", AGENT, kind, kind, "") for kind in STRANGE_ERRORS]
"""`input` is the kind of error of the contract; kept as far as it can be."""

LOGS = [Row("B42", AGENT, f"says-{kind}", kind, "") for kind in SAID]
"""`input` is the kind of line."""

ROWS = [*ANSWERS, *RAISES, *REFUSALS, *LOGS]
