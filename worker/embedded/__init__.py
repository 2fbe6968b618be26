"""Development servers: a real PostgreSQL and a real Redis on a machine that has neither.

`with embedded_servers(home) as servers:` is all of it. No server outlives its owner.
"""

from __future__ import annotations

from worker.embedded.errors import EmbeddedServerError
from worker.embedded.process import Leashed
from worker.embedded.servers import Servers, embedded_servers

__all__ = ["EmbeddedServerError", "Leashed", "Servers", "embedded_servers"]
