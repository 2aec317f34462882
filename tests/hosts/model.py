"""A chat model on this machine that plays a script, and keeps what it is sent."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from dialects import DIALECTS, BusyError, Dialect, RefusedError, Reply, Turn

Script = Callable[[Turn], Reply]


class ScriptedModel(ThreadingHTTPServer):
    """Answers requests in every dialect, each with what the script says to it."""

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.turns: list[Turn] = []
        """What every request with tools said."""

    @property
    def url(self) -> str:
        """The address, without the version."""
        return f"http://127.0.0.1:{self.server_port}"

    def reply_to(self, turn: Turn) -> Reply:
        """Return the answer; hosts also ask without tools, for a title of the conversation."""
        if not turn.tools:
            return "A title"
        self.turns.append(turn)
        return self.script(turn)


class Handler(BaseHTTPRequestHandler):
    """One request to the model."""

    server: ScriptedModel
    protocol_version = "HTTP/1.1"
    # Otherwise the content would wait until the client has acknowledged the headers, which it does after 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with an empty list of models."""
        self._send(b'{"object": "list", "data": [], "models": []}', streams=False)

    do_HEAD = do_GET  # noqa: N815 (the name is the base class's)

    def do_POST(self) -> None:
        """Answer with what the script says."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        path = self.path.split("?", maxsplit=1)[0].replace("streamGenerateContent", "generateContent")
        dialect = next((each for each in DIALECTS if path.endswith(each.path)), None)
        if not dialect:
            self._send(b'{"input_tokens": 1, "totalTokens": 1}', streams=False)
            return
        streams = bool(body.get("stream")) or "streamGenerateContent" in self.path
        try:
            self._send(self._answer(dialect, body, streams=streams), streams=streams)
        except RefusedError as error:
            refusal = {"error": {"type": "invalid_request_error", "message": str(error)}}
            self._send(json.dumps(refusal).encode(), streams=False, status=error.status)

    def _answer(self, dialect: Dialect, body: dict[str, object], *, streams: bool) -> bytes:
        turn = dialect.read(body)
        turn.tools_size = len(json.dumps(body.get("tools", [])))
        return dialect.answer(self.server.reply_to(turn), streams=streams)

    def _send(self, content: bytes, *, streams: bool, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == BusyError.status:
            self.send_header("Retry-After", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Say nothing of each request."""


@contextmanager
def serve_model(script: Script) -> Iterator[ScriptedModel]:
    """Serve a model until the block ends."""
    with ScriptedModel(script) as model:
        Thread(target=model.serve_forever, daemon=True).start()
        yield model
        model.shutdown()
