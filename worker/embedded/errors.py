"""What goes wrong with the development servers, in words a newcomer can act on."""

from __future__ import annotations


class EmbeddedServerError(Exception):
    """A development server cannot be found, started or stopped; the text says what to do."""
