"""The class of a utility, which is a tool that belongs to no family of models."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, ConfigDict, ValidationError

from kie_mcp.catalog.arguments import OPTIONS, explain_problem, list_arguments, list_problems, read_arguments
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.errors import InvalidCall
from kie_mcp.server.app import App, ToolCall


class Arguments(BaseModel):
    """Base class of the arguments of a utility, which is a tool that belongs to no family of models."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Handler = Callable[[App, ToolCall, Any], Awaitable[CallToolResult | InputRequiredResult]]
"""The type of functions that run a tool; the last parameter is an instance of the tool's arguments class."""


@dataclass(frozen=True)
class Tool:
    """A tool that belongs to no family of models: its entry in tools/list, and the function that tools/call runs."""

    name: str
    description: str
    arguments: type[BaseModel]
    handler: Handler
    read_only: bool = True
    """True if the tool changes nothing and spends no credits (`readOnlyHint` in MCP)."""
    open_world: bool = True
    """True if the tool sends requests to KIE; False if it only uses local data (`openWorldHint` in MCP)."""
    unlisted: frozenset[str] = frozenset()
    """Names of arguments that tools/list leaves out, such as `height` or `clips.zoom`; calls may still contain them."""

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the tool's arguments."""
        schema = {"required": [], **plain_schema(self.arguments)}
        options = {name: OPTIONS[name] for name in schema["properties"].keys() & OPTIONS}
        return schema | {"properties": schema["properties"] | options}

    async def __call__(
        self, app: App, call: ToolCall, arguments: Mapping[str, Any]
    ) -> CallToolResult | InputRequiredResult:
        """Check the arguments and run the tool's handler.

        Raises:
            InvalidCall: When the arguments are wrong.
            KieMcpError: When the handler fails.
        """
        return await self.handler(app, call, self.check(arguments))

    def check(self, arguments: Mapping[str, Any]) -> Any:
        """Return the arguments of a call as an instance of the tool's arguments class.

        Raises:
            InvalidCall: When the arguments are wrong.
        """
        try:
            return self.arguments.model_validate(read_arguments(arguments, self.input_schema))
        except ValidationError as error:
            problems = "; ".join(map(self._explain, list_problems(error)))
            raise InvalidCall(f"{problems}.", "Mend the arguments and call again.") from None

    def _explain(self, problem: Any) -> str:
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            others = list_arguments(self.input_schema["properties"], problem["loc"][0])
            return f"{self.name}: {explain_problem(problem)}. {others}"
        return f"{self.name}: {explain_problem(problem)}"
