"""Refuse calls of people whose KIE key is not stored or cannot be read; the error names the page for storing a key."""

from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST
from pydantic import SecretStr
from starlette.requests import Request

from kie_mcp.errors import NotAllowed
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.app import Context
from kie_mcp.server.url_elicitation import request_page

NONE_STORED = SecretStr("no key is stored")
"""Placeholder for the key of a caller who has stored no key; a text with blanks is never sent to KIE as a key."""
UNREADABLE = SecretStr("the stored key cannot be read")
"""Placeholder for the key of a caller whose stored key cannot be decrypted."""
WITHOUT_KEY = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "completion/complete",
    }
)
"""Methods of requests that need no KIE key."""

MESSAGES = {
    NONE_STORED: "What you make is paid with your own KIE key. Log in on this page, and store the key there, once.",
    UNREADABLE: "Your stored KIE key cannot be read any more. Log in on this page, and store it again.",
}
"""For each placeholder, the text that a client shows when it asks its user to open the page for the KIE key."""


class NeedsKey:
    """MCP middleware that refuses calls of people without a KIE key."""

    def __init__(self, page: str) -> None:
        """Store the address of the page where people store their keys."""
        self._page = page

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Pass a request on, unless the request needs a KIE key and the caller's key is not stored or cannot be read.

        In that case, the client is asked to open the page for storing a key. The request is refused if the client
        cannot open pages, or has already been asked.

        Raises:
            MCPError: To refuse a request that is no tool call.
            UrlElicitationRequiredError: To let a client of protocol version 2025-11-25 open the page.
        """
        caller: Caller = cast("Request", cast("Any", ctx).request).scope[SCOPE]
        is_needed = ctx.method not in WITHOUT_KEY and not ctx.method.startswith("notifications/")
        if caller.key not in MESSAGES or not is_needed:
            return await call_next(ctx)
        if question := request_page(ctx, MESSAGES[caller.key], self._page):
            return question
        refusal = self.build_refusal(caller.key)
        if ctx.method != "tools/call":
            raise MCPError(INVALID_REQUEST, f"{refusal} {refusal.next_step}")
        from kie_mcp.server import answers

        return answers.build_error_result(refusal)

    def build_refusal(self, key: SecretStr) -> NotAllowed:
        """Return the error for a person whose key is missing; `key` is the placeholder that says why."""
        if key == UNREADABLE:
            step = f"Have the user store it again at {self._page}."
            return NotAllowed("Your stored KIE key cannot be read any more, so nothing was sent.", step)
        step = f"Have the user store one at {self._page}, once."
        return NotAllowed("You have stored no KIE key here, so nothing was sent.", step)
