"""The words of a document that are right although no dictionary has them: names, and terms."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from worker.agents.builtin.prose import Prose

_NAME = re.compile(r"[^\W\d]\w+")


class Wording(BaseModel):
    """Input shared by the agents that check grammar: what is not to be taken for a mistake."""

    model_config = ConfigDict(extra="forbid")

    known_words: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]] = Field(
        default_factory=list,
        max_length=10_000,
        description="words that are right as they are, in any case",
    )
    names_in_code: bool = Field(
        default=False,
        description="take words that the document writes in code or addresses for names",
    )

    def known(self, prose: Prose) -> set[str]:
        """Return the words that are not mistakes in this document."""
        names = _NAME.findall(prose.markup()) if self.names_in_code else ()
        return {*self.known_words, *names}
