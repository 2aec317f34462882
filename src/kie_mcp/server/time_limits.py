"""How long a call may wait: clients give a call up after a time, by the name that they give in `clientInfo`.

A client that has given up gets neither the result nor the task's id, so each call answers before that.
"""

import math
from typing import NamedTuple

from kie_mcp.server.app import Context, ToolCall

MOST_SECONDS = 600
"""Most seconds that any call waits."""
LEAST_CREATE_SECONDS = 3.5
"""Seconds that a call gives KIE at least to accept its task, also where the settings let it wait for less."""


class Client(NamedTuple):
    """What is known of the clients that have one name."""

    name: str
    """`clientInfo.name`."""
    seconds: float
    """Seconds after which such a client gives a call up, by its own defaults; of several hosts, the shortest."""
    source: str
    """Hosts and versions in which this was seen, and the setting that changes it."""


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
"""Seconds after which other clients give up: what the TypeScript SDK 1.32.2 and 2.4.0 have as their default."""

SECONDS_BY_NAME = {client.name: client.seconds for client in CLIENTS}


def measure_wait_left(call: ToolCall) -> float:
    """Return the seconds that a call may still wait for its tasks."""
    return _measure_left(call, find_longest_wait(call))


def measure_create_left(call: ToolCall) -> float:
    """Return the seconds that a call may still wait for KIE to accept its task."""
    return _measure_left(call, max(find_longest_wait(call), LEAST_CREATE_SECONDS))


def find_longest_wait(call: ToolCall) -> float:
    """Return the most seconds that a call may wait: what the settings say, or what the client is known to allow."""
    setting = call.context.lifespan_context.settings.wait_seconds
    if setting is not None:
        return setting
    limit = SECONDS_BY_NAME.get(_find_client_name(call.context), OTHER_SECONDS)
    # The rest is for the way of request and answer, and for a busy machine.
    return min(limit - 1.5, limit * 0.8, MOST_SECONDS)


def _find_client_name(context: Context) -> str:
    """Return the client's name; without a session, a client of an earlier protocol does not tell it with its calls."""
    if client := context.session.client_params:
        return client.client_info.name.lower()
    agent = context.request.headers.get("user-agent", "") if context.request else ""
    return "mcp" if agent.startswith("python-") else ""


def _measure_left(call: ToolCall, seconds: float) -> float:
    return max(call.arrived + seconds - call.context.lifespan_context.clock.monotonic(), 0)
