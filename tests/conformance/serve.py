"""The real server on the sandbox, with the official suite's tools, prompts and resources beside its own.

`python tests/conformance/serve.py FOLDER...` serves one for each folder on a free port of this machine, in one process,
because most of a start is imports, and prints the addresses.
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx2
import uvicorn
from fixtures import (
    PROMPTS,
    RESOURCES,
    SCHEMAS,
    TEMPLATE,
    TOOLS,
    Answer,
    Context,
    Wire,
    elicitation,
    filled_in,
    has_open_questions,
    input_required,
    prompt,
    require_tasks,
)
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp_types import (
    CallToolRequestParams,
    GetPromptRequestParams,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    ReadResourceRequestParams,
    Resource,
    ResourceTemplate,
    Tool,
)
from pydantic import BaseModel

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server import http
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.extensions.tasks import TasksExtension, UpdateParams, add_extension
from kie_mcp.server.listener import configure, open_port

HOST = "127.0.0.1"
FOR_THE_SUITE = "What the official suite calls."
Handler = Callable[[Context, Any], Awaitable[HandlerResult]]


class ProfileTasks(TasksExtension):
    """The real extension, with tasks that ask or break after their start, which KIE's tasks never do."""

    def __init__(self) -> None:
        self.questions: dict[str, dict[str, Wire]] = {}
        self.broken: set[str] = set()

    async def describe_task(self, app: App, id_: str) -> Wire:
        """Describe a task as the real extension does, except tasks that ask or break."""
        shown = await super().describe_task(app, id_)
        if id_ in self.broken and shown["status"] == "completed":
            del shown["result"]
            return shown | {"status": "failed", "error": {"code": -32603, "message": "The fixture was told to break"}}
        if self.questions.get(id_) and shown["status"] != "cancelled":
            shown.pop("result", None)
            return shown | {"status": "input_required", "inputRequests": self.questions[id_]}
        return shown

    async def update(self, context: Context, params: UpdateParams) -> HandlerResult:
        """Do what the real extension does, and take the answers."""
        done = await super().update(context, params)
        for key in params.input_responses:
            self.questions.get(params.task_id, {}).pop(key, None)
        return done


class TaskTools:
    """The suite's tools that start tasks; each calls a real tool."""

    def __init__(self, call: Handler, sandbox: Sandbox, extension: ProfileTasks) -> None:
        self._call = call
        self._sandbox = sandbox
        self._extension = extension
        self._calls = count(1)
        self.tools: dict[str, Answer] = {
            "slow_compute": self.slow_compute,
            "failing_job": self.failing_job,
            "protocol_error_job": self.protocol_error_job,
            "confirm_delete": self.confirm_delete,
            "multi_input": self.multi_input,
            "test_tool_with_task": self.ask_then_start,
        }

    async def start(self, context: Context, about: str, seconds: float = 0, fate: str = "") -> Any:
        """Call the real tool, with a prompt that was not used before."""
        self._sandbox._seconds = seconds
        if fate:
            self._sandbox.inject_fault("create", fate)
        words = {"prompt": f"{about}, take {next(self._calls)}"}
        return await self._call(context, CallToolRequestParams(name="suno_lyrics", arguments=words))

    async def slow_compute(self, context: Context, params: CallToolRequestParams) -> HandlerResult:
        given = params.arguments or {}
        result: HandlerResult = await self.start(context, str(given.get("label", "")), float(given.get("seconds", 0)))
        return result

    async def failing_job(self, context: Context, _: CallToolRequestParams) -> HandlerResult:
        require_tasks(context)
        result: HandlerResult = await self.start(context, "a failure", 1, "fail")
        return result

    async def protocol_error_job(self, context: Context, _: CallToolRequestParams) -> HandlerResult:
        require_tasks(context)
        result = await self.start(context, "an error", 1)
        self._extension.broken.add(result["taskId"])
        return dict(result)

    async def confirm_delete(self, context: Context, _: CallToolRequestParams) -> HandlerResult:
        return await self.ask_after_start(context, confirm=elicitation("Delete it?", "confirm", "boolean"))

    async def multi_input(self, context: Context, _: CallToolRequestParams) -> HandlerResult:
        return await self.ask_after_start(context, one=elicitation("Who?", "name"), two=elicitation("What?", "name"))

    async def ask_after_start(self, context: Context, **questions: Wire) -> HandlerResult:
        require_tasks(context)
        result = await self.start(context, "a question")
        self._extension.questions[result["taskId"]] = questions
        return dict(result)

    async def ask_then_start(self, context: Context, params: CallToolRequestParams) -> HandlerResult:
        require_tasks(context)
        questions = {"user_name": elicitation("What is your name?", "name")}
        if has_open_questions(params, questions):
            return input_required(questions)
        result: HandlerResult = await self.start(context, filled_in(params, "user_name", "name"))
        return result


def profile(folder: Path) -> Server[Any]:
    """Return the real server with the fixtures added."""
    sandbox = Sandbox()
    settings = Settings(sandbox=True, data_dir=folder / "data", output_dir=folder / "out")
    server = build_server(App(settings, local_files=False, transport=httpx2.ASGITransport(sandbox.app)), sessions=False)
    extension = ProfileTasks()
    tools = TOOLS | TaskTools(_handler(server, "tools/call"), sandbox, extension).tools
    mount_tools(server, tools)
    mount_prompts(server)
    mount_resources(server)
    add_extension(server, extension)
    if not any(isinstance(each, RequestStateBoundary) for each in server.middleware):
        server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
    return server


def mount_tools(server: Server[Any], tools: dict[str, Answer]) -> None:
    listed = [
        Tool(name=name, description=FOR_THE_SUITE, input_schema=SCHEMAS.get(name, {"type": "object"})) for name in tools
    ]
    extend(server, "tools/list", ListToolsResult(tools=listed), "tools")
    call = _handler(server, "tools/call")

    async def call_tool(context: Context, params: CallToolRequestParams) -> HandlerResult:
        return await tools.get(params.name, call)(context, params)

    server.add_request_handler("tools/call", CallToolRequestParams, call_tool)
    own = server.get_tool_input_schema
    assert own
    schemas = {tool.name: tool.input_schema for tool in listed}
    server.get_tool_input_schema = lambda name: schemas.get(name) or own(name)


def mount_prompts(server: Server[Any]) -> None:
    listed = [
        Prompt(
            name=name,
            description=FOR_THE_SUITE,
            arguments=[PromptArgument(name=each, description=FOR_THE_SUITE, required=True) for each in arguments],
        )
        for name, arguments in PROMPTS.items()
    ]
    extend(server, "prompts/list", ListPromptsResult(prompts=listed), "prompts")
    entry = server.get_request_handler("prompts/get")

    async def get(context: Context, params: GetPromptRequestParams) -> HandlerResult:
        return await (entry.handler if entry and params.name not in PROMPTS else prompt)(context, params)

    server.add_request_handler("prompts/get", GetPromptRequestParams, get)


def mount_resources(server: Server[Any]) -> None:
    listed = [Resource(uri=uri, name=uri) for uri in RESOURCES]
    extend(server, "resources/list", ListResourcesResult(resources=listed), "resources")
    templates = ListResourceTemplatesResult(resource_templates=[ResourceTemplate(uri_template=TEMPLATE, name="data")])
    extend(server, "resources/templates/list", templates, "resource_templates")
    own = _handler(server, "resources/read")

    async def read(context: Context, params: ReadResourceRequestParams) -> HandlerResult:
        uri = str(params.uri)
        if uri not in RESOURCES:
            return await own(context, params)
        hints = {"ttlMs": 0, "cacheScope": "private"}
        return {"resultType": "complete", "contents": [{"uri": uri, **RESOURCES[uri]}], **hints}

    server.add_request_handler("resources/read", ReadResourceRequestParams, read)


def extend(server: Server[Any], method: str, more: BaseModel, items: str) -> None:
    """Add items to one of the server's lists."""
    entry = server.get_request_handler(method)

    async def answer(context: Context, params: PaginatedRequestParams) -> HandlerResult:
        own = await entry.handler(context, params) if entry else None
        if not isinstance(own, BaseModel):
            return more
        return own.model_copy(update={items: [*getattr(own, items), *getattr(more, items)]})

    server.add_request_handler(method, PaginatedRequestParams, answer)


def _handler(server: Server[Any], method: str) -> Handler:
    entry = server.get_request_handler(method)
    assert entry, method
    return entry.handler


async def serve(folders: Sequence[str]) -> None:
    """Serve until the process is ended."""
    async with anyio.create_task_group() as group:
        for folder in folders:
            config = configure(http.build_streamable_app(profile(Path(folder)), HOST), HOST)
            listener = open_port(HOST, 0, config.backlog)
            sys.stdout.write(f"http://{HOST}:{listener.getsockname()[1]}{http.PATH}\n")
            group.start_soon(uvicorn.Server(config).serve, [listener])
        sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1:])
