"""Stdin and stdout of the process, shared by the first answers and the SDK."""

import json
import os
import re
import threading
from contextlib import suppress
from queue import SimpleQueue

from kie_mcp.server.handshake.answers import Handshake, read_id

INTERNAL_ERROR = -32603
"""JSON-RPC's error code for an internal error of the server."""
FLOAT_ID = re.compile(r'"(id|requestId)"\s*:\s*-?\d+[.eE]')


class Wire:
    """Stdin and stdout; each message is one line.

    A thread reads the client's messages from the start to the end of the process. Until a message needs the SDK, the
    thread answers messages with the answers in answers.json. The thread puts messages for the SDK into a queue. The SDK
    reads and writes through `readline`, `write` and `flush`.
    """

    def __init__(self, handshake: Handshake | None) -> None:
        """Start to read the client's messages from stdin.

        Args:
            handshake: Answers the client's first requests; if None, the SDK answers all requests.
        """
        received, sent = take_standard_streams()
        # Some clients, such as programs in .NET, write a byte order mark before their first line; `utf-8-sig` skips it.
        self._input = os.fdopen(received, encoding="utf-8-sig", errors="replace")
        self._output = os.fdopen(sent, "w", encoding="utf-8", newline="\n")
        self._handshake = handshake
        self._lock = threading.Lock()
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._skips_answer = False
        self.settled = threading.Event()
        """Set when tools/list has been answered, or when a message needs the SDK."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # An error in reading stdin means that the client has gone, so it is treated like the end of stdin.
        with suppress(OSError):
            for line in self._input:
                with self._lock:
                    self._take(write_whole_id(line))
        with self._lock:
            if self._handshake:
                # All requests have got their answers from answers.json. The SDK is still being imported, and nothing
                # else is open, so the process can end at once.
                os._exit(0)
            self._lines.put("")

    def _take(self, line: str) -> None:
        """Answer a message from answers.json, pass it to the SDK, or do both.

        After the first message that answers.json cannot answer, the SDK gets all messages.
        """
        reply = self._handshake.answer(line) if self._handshake else None
        if reply is None:
            self._handshake = None
        if reply is None or reply.changes_connection:
            self._lines.put(line)
        if reply and reply.text:
            self._skips_answer |= reply.changes_connection
            self._output.write(reply.text + "\n")
            self._output.flush()
        if self._handshake is None or self._handshake.listed:
            self.settled.set()

    def hand_over(self) -> None:
        """Give all further messages to the SDK."""
        with self._lock:
            self._handshake = None

    def readline(self) -> str:
        """Wait for the next message for the SDK, and return it; an empty string means that the client has gone."""
        return self._lines.get()

    def write(self, text: str) -> None:
        """Write a message of the SDK, but drop the SDK's answer to an `initialize` that answers.json has answered.

        The SDK's answer to `initialize` is always its first message, so the first message is dropped.
        """
        if self._skips_answer:
            self._skips_answer = False
        else:
            self._output.write(text)

    def flush(self) -> None:
        """Send the written messages to the client."""
        self._output.flush()

    def refuse(self, reason: str) -> None:
        """Answer all requests with an error until the client closes stdin, because the server cannot start.

        Args:
            reason: What is wrong, and what to do.
        """
        self.hand_over()
        while line := self.readline():
            if (id_ := read_id(line)) is not None:
                error = {"code": INTERNAL_ERROR, "message": reason}
                self.write(json.dumps({"jsonrpc": "2.0", "id": id_, "error": error}) + "\n")
                self.flush()


def write_whole_id(line: str) -> str:
    """Return a message with an id such as `5` instead of `5.0`; return all other lines unchanged.

    Some JSON libraries write every number with a point. The SDK takes a request with such an id for a notification, so
    that it is never answered, and finds no request to cancel.
    """
    if FLOAT_ID.search(line):
        # A batch is a list, which has no `get`.
        with suppress(AttributeError, ValueError, RecursionError):
            message = json.loads(line)
            for holder, name in ((message, "id"), (message.get("params", {}), "requestId")):
                if isinstance(id_ := holder.get(name), float) and id_.is_integer():
                    holder[name] = int(id_)
                    line = json.dumps(message) + "\n"
    return line


def take_standard_streams() -> tuple[int, int]:
    """Return new descriptors of stdin and stdout, and redirect the descriptors 0 and 1.

    The output of libraries then goes to stderr, and child processes get an empty stdin, so that neither disturbs the
    MCP messages. The SDK does the same when it opens stdin and stdout itself.
    """
    # If the host closed one of the descriptors 0 to 2, the null device is opened there. Otherwise, the next opened file
    # would get this descriptor and would be used as a standard stream.
    while (nothing := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    received, sent = os.dup(0), os.dup(1)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return received, sent
