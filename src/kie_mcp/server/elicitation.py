"""Elicitation: ask the user to confirm the cost of a task.

In MCP protocol version 2026-07-28, the server answers the tool call with a question, and the client repeats the call
with the user's answer. In earlier versions, the server sends the question to the client while the call is running.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum
from typing import Any, TypeVar

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from kie_mcp.catalog.credits import format_credits
from kie_mcp.errors import ConfirmationNeeded, KieMcpError
from kie_mcp.server.app import Context, ToolCall
from kie_mcp.server.time_limits import measure_create_left
from kie_mcp.tasks.confirmation import CONFIRMATION_SECONDS
from kie_mcp.text import one_line

INPUT_KEY = "spend"
"""Key of the question in `inputRequests`, and of the user's answer in `inputResponses`."""
FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"spend": {"type": "boolean", "title": "Spend the credits"}},
    "required": ["spend"],
}
"""JSON Schema of the form for the user. The checkbox has no default value, so that the user has to tick it."""
UNATTENDED_SECONDS = 1
"""Minimum seconds that a person needs to answer; `claude -p` and `codex exec` answer without a person in 0.1 s."""

Outcome = TypeVar("Outcome")


class Declined(KieMcpError):
    """The user declined the cost, so no request was sent to KIE."""

    category = "declined"


class Reply(Enum):
    """The meaning of a client's answer to the question whether to spend the credits."""

    AGREED = "the user agreed"
    DECLINED = "the user declined"
    UNATTENDED = "the client answered by itself"


async def run_confirmed(
    call: ToolCall, confirm: str, run: Callable[[str], Awaitable[Outcome]]
) -> Outcome | InputRequiredResult:
    """Run a function; if it needs the user's confirmation, ask the user and run the function again.

    Args:
        call: The tool call. In protocol version 2026-07-28, the client repeats the call with the user's answer in it.
        confirm: The call's `confirm` argument, which is the id of a confirmation; empty if the call has none.
        run: The function to run. Its argument is the id of a confirmation. If the cost needs a confirmation, and this
            id is missing or not valid, the function raises ConfirmationNeeded before it sends anything to KIE.

    Returns:
        The value that `run` returned, or a question that the client has to show to its user.

    Raises:
        ConfirmationNeeded: When the client cannot ask its user, or answered without asking anybody. The agent then
            has to ask the user in the chat.
        Declined: When the user declined.
    """
    reply, confirmed = read_reply(call)
    if reply is Reply.DECLINED:
        raise _declined()
    try:
        return await run(confirmed or confirm)
    except ConfirmationNeeded as error:
        balance = await _find_balance(call)
        told = "" if balance is None else f" The balance is {format_credits(balance)}."
        needed = replace(error, message=f"{error.message}{told}", balance=balance)
        if reply is Reply.UNATTENDED:
            raise _nobody_was_asked(needed) from None
        if question := await request_confirmation(call.context, needed):
            return question
        return await run(needed.confirm)


def read_reply(call: ToolCall) -> tuple[Reply | None, str]:
    """Read the user's answer from a tool call.

    A call contains an answer only in protocol version 2026-07-28, when the client repeats the call after a question.

    Returns:
        The meaning of the answer, and the id of the confirmation, which is empty unless the user agreed. The meaning is
        None if the call contains no answer.
    """
    answer = (call.params.input_responses or {}).get(INPUT_KEY)
    if answer is None or not call.params.request_state:
        return None, ""
    confirm, asked = _parse_state(call.params.request_state)
    clock = call.context.lifespan_context.clock
    arrived = clock.time() - (clock.monotonic() - call.arrived)
    reply = interpret_answer(answer, arrived - asked)
    return reply, confirm if reply is Reply.AGREED else ""


def interpret_answer(answer: object, seconds: float) -> Reply:
    """Return the meaning of an answer: the user agreed only if the user ticked the checkbox and accepted the form.

    Args:
        answer: The answer as the client sent it.
        seconds: Seconds between the question and the answer.
    """
    accepted = isinstance(answer, ElicitResult) and answer.action == "accept" and answer.content
    # Some clients send each value of a form as a string, so that True arrives as "true".
    if accepted and accepted.get("spend") in (True, "true"):
        return Reply.AGREED
    return Reply.UNATTENDED if seconds < UNATTENDED_SECONDS else Reply.DECLINED


async def request_confirmation(context: Context, needed: ConfirmationNeeded) -> InputRequiredResult | None:
    """Ask the user to confirm a cost.

    Returns:
        In protocol version 2026-07-28, the question; the client shows it and sends the call again with the answer. In
        earlier versions, None, which means that the user was asked during this call and agreed.

    Raises:
        ConfirmationNeeded: When the client cannot ask its user, answered without asking anybody, or gave no valid
            answer. The agent then has to ask the user in the chat.
        Declined: When the user declined.
    """
    if not _can_elicit(context):
        raise needed
    app = context.lifespan_context
    message = one_line(f"{needed.message} Go ahead?")
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=FORM_SCHEMA))
        state = f"{needed.confirm} {app.clock.time()}"
        return InputRequiredResult(input_requests={INPUT_KEY: form}, request_state=state)
    answer, asked = None, app.clock.monotonic()
    with anyio.move_on_after(CONFIRMATION_SECONDS):
        try:
            answer = await context.session.elicit_form(message, FORM_SCHEMA, related_request_id=context.request_id)
        except (MCPError, ValidationError):
            # The client declared the capability elicitation, but it refused this question or its answer is malformed.
            raise needed from None
    if not answer:
        raise needed
    reply = interpret_answer(answer, app.clock.monotonic() - asked)
    if reply is Reply.UNATTENDED:
        raise _nobody_was_asked(needed)
    if reply is Reply.DECLINED:
        raise _declined()
    return None


def _parse_state(state: str) -> tuple[str, float]:
    """Return the two values in `requestState`: the confirmation's id, and the question's time in seconds since 1970.

    If the client changed `requestState` so that it has no time, the time is minus infinity.
    """
    confirm, _, asked = state.partition(" ")
    try:
        return confirm, float(asked)
    except ValueError:
        return confirm, -math.inf


async def _find_balance(call: ToolCall) -> float | None:
    """Return the account's balance in credits; None if KIE does not answer in time."""
    runner = await call.context.lifespan_context.runner()
    with anyio.move_on_after(measure_create_left(call) / 2):
        return await runner.balance.find()
    return None


def _can_elicit(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # In the first version of elicitation, a client that shows forms declares an empty object.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _declined() -> Declined:
    return Declined("The user did not agree to the cost.", "Nothing was sent. Ask what to do instead.")


def _nobody_was_asked(needed: ConfirmationNeeded) -> ConfirmationNeeded:
    """Return the error to raise if a client answered the question without showing it to a person."""
    return replace(needed, message=f"{needed.message} Nobody was asked: the client answered the question by itself.")
