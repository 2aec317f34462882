"""Tools, prompts and resources that the official conformance suite calls by name and that no product has."""

import base64
import io
import wave
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import PIL.Image
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    GetPromptRequestParams,
)

from kie_mcp.server.extensions.tasks import EXTENSION_ID

Context = ServerRequestContext[Any, Any]
Params = CallToolRequestParams | GetPromptRequestParams
Wire = dict[str, Any]
Answer = Callable[[Context, CallToolRequestParams], Awaitable[HandlerResult]]


def _pixel() -> str:
    file = io.BytesIO()
    PIL.Image.new("RGB", (1, 1), "red").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _silence() -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(8000)
        written.writeframes(bytes(80))
    return base64.b64encode(file.getvalue()).decode()


PIXEL = _pixel()
IMAGE = {"type": "image", "data": PIXEL, "mimeType": "image/png"}


def text(words: str) -> Wire:
    return {"type": "text", "text": words}


def resource(uri: str, mime_type: str, words: str) -> Wire:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": words}}


def content(*blocks: Wire, is_error: bool = False) -> Wire:
    return {"resultType": "complete", "content": list(blocks), "isError": is_error}


def elicitation(message: str, field: str, kind: str = "string") -> Wire:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def sampling(question: str) -> Wire:
    return {
        "method": "sampling/createMessage",
        "params": {"messages": [{"role": "user", "content": text(question)}], "maxTokens": 50},
    }


ROOTS: Wire = {"method": "roots/list", "params": {}}
NAME = elicitation("What is your name?", "name")


def input_required(questions: Mapping[str, Wire], state: str | None = None) -> Wire:
    """Return an answer that asks the client for input first."""
    return {"resultType": "input_required", "inputRequests": dict(questions)} | (
        {"requestState": state} if state else {}
    )


def has_open_questions(params: Params, questions: Mapping[str, Wire]) -> bool:
    return not set(questions) <= set(params.input_responses or {})


def filled_in(params: Params, key: str, field: str) -> str:
    """Return what the user filled in."""
    response = (params.input_responses or {})[key]
    return str((getattr(response, "content", None) or {}).get(field, ""))


STATIC: dict[str, Wire] = {
    "test_simple_text": content(text("This is a simple text response for testing.")),
    "test_image_content": content(IMAGE),
    "test_audio_content": content({"type": "audio", "data": _silence(), "mimeType": "audio/wav"}),
    "test_embedded_resource": content(
        resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ),
    "test_multiple_content_types": content(
        text("Multiple content types test:"),
        IMAGE,
        resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ),
    "test_error_handling": content(text("This tool intentionally returns an error for testing"), is_error=True),
    "test_logging_tool": content(text("done, without a word to the log")),
    "json_schema_2020_12_tool": content(text("done")),
    "test_custom_header": content(text("done")),
}
"""Tools whose answer never changes, with that answer."""

QUESTIONS: dict[str, tuple[dict[str, Wire], str | None]] = {
    "test_input_required_result_elicitation": ({"user_name": NAME}, None),
    "test_input_required_result_sampling": ({"capital_question": sampling("What is the capital of France?")}, None),
    "test_input_required_result_list_roots": ({"client_roots": ROOTS}, None),
    "test_input_required_result_request_state": ({"confirm": elicitation("Please confirm", "ok", "boolean")}, "asked"),
    "test_input_required_result_tampered_state": ({"confirm": elicitation("Please confirm", "ok", "boolean")}, "asked"),
    "test_input_required_result_multiple_inputs": (
        {"user_name": NAME, "greeting": sampling("Generate a greeting"), "client_roots": ROOTS},
        "asked",
    ),
    "test_streaming_elicitation": ({"user_name": NAME}, None),
}
"""Tools that ask once, with their questions and the request state that they expect back."""


async def ask_once(_: Context, params: CallToolRequestParams) -> HandlerResult:
    questions, state = QUESTIONS[params.name]
    if has_open_questions(params, questions) or params.request_state != state:
        return input_required(questions, state)
    return content(text("state-ok"))


async def ask_twice(_: Context, params: CallToolRequestParams) -> HandlerResult:
    first = {"step1": elicitation("Step 1: What is your name?", "name")}
    second = {"step2": elicitation("Step 2: What is your favorite color?", "color")}
    if params.request_state == "two" and not has_open_questions(params, second):
        return content(text("done"))
    if params.request_state == "one" and not has_open_questions(params, first):
        return input_required(second, "two")
    return input_required(first, "one")


async def ask_what_can_be_answered(context: Context, params: CallToolRequestParams) -> HandlerResult:
    capabilities = context.session.client_capabilities
    questions = {
        name: question
        for name, question in (("elicitation", NAME), ("sampling", sampling("Say hello")), ("roots", ROOTS))
        if getattr(capabilities, name, None) is not None
    }
    return input_required(questions) if has_open_questions(params, questions) else content(text("done"))


async def need_sampling(context: Context, _: CallToolRequestParams) -> HandlerResult:
    capabilities = context.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed: Wire = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool asks the client's model", needed)
    return content(text("done"))


async def report_progress(context: Context, _: CallToolRequestParams) -> HandlerResult:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await anyio.sleep(0.05)
    return content(text("done"))


async def greet(_: Context, params: CallToolRequestParams) -> HandlerResult:
    return content(text(f"Hello, {(params.arguments or {}).get('name')}!"))


async def answer_statically(_: Context, params: CallToolRequestParams) -> HandlerResult:
    return STATIC[params.name]


TOOLS: dict[str, Answer] = {
    **dict.fromkeys(STATIC, answer_statically),
    **dict.fromkeys(QUESTIONS, ask_once),
    "test_input_required_result_multi_round": ask_twice,
    "test_input_required_result_capabilities": ask_what_can_be_answered,
    "test_missing_capability": need_sampling,
    "test_tool_with_progress": report_progress,
    "greet": greet,
}

SCHEMAS: dict[str, Wire] = {
    "greet": {"type": "object", "properties": {"name": {"type": "string"}}},
    "slow_compute": {
        "type": "object",
        "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}},
    },
    "confirm_delete": {"type": "object", "properties": {"filename": {"type": "string"}}},
    "test_custom_header": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
    "json_schema_2020_12_tool": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
}
"""Input schemas of the tools that take arguments."""

ASKING_PROMPT = "test_input_required_result_prompt"
PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    ASKING_PROMPT: (),
}
"""Prompts, with their required arguments."""


async def prompt(_: Context, params: GetPromptRequestParams) -> HandlerResult:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            blocks = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            blocks = [text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")]
        case "test_prompt_with_embedded_resource":
            embedded = resource(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
            blocks = [embedded, text("Please process the embedded resource above.")]
        case "test_prompt_with_image":
            blocks = [IMAGE, text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            questions = {"user_context": elicitation("What context should the prompt use?", "context")}
            if has_open_questions(params, questions):
                return input_required(questions)
            blocks = [text(filled_in(params, "user_context", "context"))]
        case name:
            raise MCPError(INVALID_PARAMS, f"There is no prompt {name!r}.")
    return {"resultType": "complete", "messages": [{"role": "user", "content": block} for block in blocks]}


RESOURCES: dict[str, Wire] = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PIXEL},
    "test://template/123/data": {
        "mimeType": "application/json",
        "text": '{"id":"123","templateTest":true,"data":"Data for ID: 123"}',
    },
}
TEMPLATE = "test://template/{id}/data"


def require_tasks(context: Context) -> None:
    """Refuse the call of a tool that can answer only with a task.

    Raises:
        MCPError: When the client did not declare tasks.
    """
    require_client_extension(context, EXTENSION_ID)
