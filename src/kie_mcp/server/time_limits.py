"""Compute how long a tool call may wait before it has to answer, from the client's name in `clientInfo`.

Each client stops waiting for a call after some time, and then gets neither the result nor the task's id. Therefore,
calls answer earlier.
"""

import math
from typing import NamedTuple

from kie_mcp.server.app import Context, ToolCall

MAX_SECONDS = 600
"""Maximum seconds that a call waits, even if the client would wait longer."""
LEAST_CREATE_SECONDS = 3.5
"""Seconds that a call may wait for KIE to accept its task, or to answer, even if `wait_seconds` is smaller."""

MAX_CREATE_SECONDS = 45
"""Maximum seconds that a call waits for KIE to accept its task, or to answer; KIE usually needs a few seconds."""


class Client(NamedTuple):
    """A client name, and the time limit that MCP clients with this name have for a call."""

    name: str
    """The client's name, as the client sends it in `clientInfo.name`."""
    seconds: float
    """Default time limit in seconds; if several hosts use this client name, the shortest of their limits."""
    source: str
    """Hosts and versions in which this time was observed, and in parentheses the host's setting that changes it."""


CLIENTS = (
    Client(
        "mcp",
        5,
        "The Python SDK's name for a client without a name. openai-agents 0.24.0 (client_session_timeout_seconds) and "
        "autogen-ext 0.7.5 (read_timeout_seconds): 5; llama-index-tools-mcp 0.6.0 (timeout) and mcp-haystack 2.1.1: "
        "30; langchain-mcp-adapters 0.3.2 and strands-agents 1.62.0: no limit.",
    ),
    Client("google-adk", 5, "google-adk 2.13.0 (StdioConnectionParams.timeout): 5."),
    Client("fastmcp", 10, "agno 3.1.10 (timeout_seconds): 10; pydantic-ai 2.68.0: 300."),
    Client("mcp-use", math.inf, "mcp-use 1.7.1: no limit."),
    Client("codex-mcp-client", 300, "Codex 0.171.0 (tool_timeout_sec): 300; progress does not extend it."),
    Client("claude-code", math.inf, "Claude Code 2.1.332: no limit while progress arrives."),
    Client("gemini-cli-mcp-client", 600, "Gemini CLI 0.61.0: 600."),
)
OTHER_SECONDS = 60
"""Seconds after which any other client stops waiting: the default of the TypeScript SDK 1.32.2 and 2.4.0."""

SECONDS_BY_NAME = {client.name: client.seconds for client in CLIENTS}


def measure_wait_left(call: ToolCall) -> float:
    """Return the number of seconds that a call may still wait for its tasks."""
    return _measure_left(call, call.arrived + find_longest_wait(call.context))


def measure_create_left(call: ToolCall) -> float:
    """Return the number of seconds that a call may still wait for KIE to accept its task."""
    return _measure_left(call, find_deadline(call.context, call.arrived))


def find_deadline(context: Context, arrived: float) -> float:
    """Return the monotonic time, in seconds, until which a request may wait for an answer of KIE.

    Args:
        context: The context of the request.
        arrived: Monotonic time, in seconds, at which the request arrived.
    """
    return arrived + min(max(find_longest_wait(context), LEAST_CREATE_SECONDS), MAX_CREATE_SECONDS)


def find_longest_wait(context: Context) -> float:
    """Return the maximum seconds that a request may wait.

    The maximum is the setting `wait_seconds`. Without this setting, it is a little less than the client's own limit.
    """
    setting = context.lifespan_context.settings.wait_seconds
    if setting is not None:
        return setting
    limit = SECONDS_BY_NAME.get(find_client_name(context), OTHER_SECONDS)
    # The call ends earlier than the client's limit, because sending the request and the answer takes time, especially
    # on a busy machine.
    return min(limit - 1.5, limit * 0.8, MAX_SECONDS)


def find_client_name(context: Context) -> str:
    """Return the client's name in lower case; return an empty text if the name is unknown.

    Over HTTP without a session, requests of protocol versions before 2026-07-28 contain no name. In this case, the name
    is `mcp` if the HTTP header User-Agent begins with `python-`.
    """
    if client := context.session.client_params:
        return client.client_info.name.lower()
    agent = context.request.headers.get("user-agent", "") if context.request else ""
    return "mcp" if agent.startswith("python-") else ""


def _measure_left(call: ToolCall, end: float) -> float:
    return max(end - call.context.lifespan_context.clock.monotonic(), 0)
