"""A project's language as the tools need it: root and region of a tag such as `en`, `de-AT`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """A language tag taken apart: `root` in lower case, `region` in upper case or None."""

    tag: str
    root: str
    region: str | None

    @property
    def is_english(self) -> bool:
        """Whether the grammar checker, which knows English only, applies."""
        return self.root == "en"


def parse_language(tag: str) -> Language:
    """Return the parts of `tag`, written with `-` or `_`, in any case."""
    root, *rest = tag.strip().replace("_", "-").split("-")
    region = next((part.upper() for part in rest if len(part) == 2 and part.isalpha()), None)  # noqa: PLR2004 - ISO 3166
    return Language(tag=tag, root=root.lower(), region=region)
