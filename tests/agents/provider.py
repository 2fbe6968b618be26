"""A server on this machine that speaks the chat-completions protocol, over real connections."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "desk-1"
KEY = "sk-desk-0123456789"


def completion(content: str | None, *, finish: str = "stop", **message: Any) -> str:
    """Return the body of a successful answer."""
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_740_000_000,
            "model": "desk-1-2025",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, **message},
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28},
        }
    )


@dataclass
class Provider:
    """What the server answers, and what it was asked."""

    status: int = 200
    body: str = field(default_factory=lambda: completion("# Title\n\nText."))
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    hang: bool = False
    close: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """The base URL, as settings take it."""
        return f"http://127.0.0.1:{self.port}/v1"


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            provider.requests.append(json.loads(self.rfile.read(length)))
            provider.keys.append(self.headers["Authorization"])
            if provider.hang:
                provider.released.wait(30)
            if provider.hang or provider.close:
                self.close_connection = True
                return
            payload = provider.body.encode()
            self.send_response(provider.status)
            self.send_header("Content-Type", provider.content_type)
            self.send_header("Content-Length", str(len(payload)))
            for name, value in provider.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        log_message: Callable[..., None] = lambda *_: None

    return Handler


@contextmanager
def serving() -> Iterator[Provider]:
    """Run a provider on a free port until the block ends."""
    provider = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        provider.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
