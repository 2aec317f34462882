"""URL elicitation: ask a client to open a page in its user's browser.

In MCP protocol version 2026-07-28, the server answers the request with a question that contains the URL, and the client
repeats the request when its user has agreed to open the page. In version 2025-11-25, the server answers with the error
-32042, which contains the URL; the client opens the page and may repeat the request.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp_types import ElicitRequest, ElicitRequestURLParams, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from kie_mcp.server.app import Context

INPUT_KEY = "page"
"""Key of the question in `inputRequests`, and of the client's answer in `inputResponses`."""
SESSION_MARK = "opens-urls-"
"""Part of the HTTP session id of a client that declared URL elicitation in `initialize`; see `CapabilitySession`."""
INTERACTIVE = frozenset({"tools/call", "resources/read"})
"""Methods of requests that may be answered with a question in protocol version 2026-07-28."""


def declares_urls(capabilities: Mapping[str, Any]) -> bool:
    """Return whether a client that declared these capabilities in `initialize` opens URLs at a server's request."""
    match capabilities:
        case {"elicitation": {"url": {}}}:
            return True
    return False


def client_opens_urls(context: Context) -> bool:
    """Return whether the client that sent this request opens URLs at a server's request."""
    capabilities = context.session.client_capabilities
    if capabilities is None and context.request:
        return SESSION_MARK in str(context.request.headers.get(MCP_SESSION_ID_HEADER, ""))
    return bool(capabilities and capabilities.elicitation and capabilities.elicitation.url)


def request_page(context: Context, message: str, url: str) -> InputRequiredResult | None:
    """Ask the client to open a page, if the client can do this and has not answered the question before.

    Args:
        context: The context of the request that needs the page.
        message: What the client tells its user about the page.
        url: The URL of the page. The URL alone must give no access, because the client sees the URL.

    Returns:
        In protocol version 2026-07-28, the question with which to answer the request. None if the caller has to refuse
        the request: the client cannot open pages or has answered before, or the method is not in `INTERACTIVE`.

    Raises:
        UrlElicitationRequiredError: In earlier protocol versions; this error answers the request, and contains the URL.
    """
    if not client_opens_urls(context):
        return None
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        page = ElicitRequestURLParams(message=message, url=url, elicitation_id=secrets.token_hex(16))
        raise UrlElicitationRequiredError([page], message)
    is_repeated = INPUT_KEY in ((context.params or {}).get("inputResponses") or {})
    if is_repeated or context.method not in INTERACTIVE:
        return None
    question = ElicitRequest(params=ElicitRequestURLParams(message=message, url=url))
    return InputRequiredResult(input_requests={INPUT_KEY: question})
