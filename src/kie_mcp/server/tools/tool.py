"""A utility, which is a tool that is no model's: name, description, arguments and handler."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, ConfigDict, ValidationError

from kie_mcp.catalog.arguments import coerce_arguments, explain_problem
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.errors import InvalidCall
from kie_mcp.server.app import App, ToolCall


class Arguments(BaseModel):
    """Base class of the arguments of a utility."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Handler = Callable[[App, ToolCall, Any], Awaitable[CallToolResult | InputRequiredResult]]
"""Called with checked arguments, an instance of the tool's arguments class."""


@dataclass(frozen=True)
class Tool:
    """One utility, as tools/list describes it and tools/call runs it."""

    name: str
    description: str
    arguments: type[BaseModel]
    handler: Handler
    read_only: bool = True
    """The tool changes nothing and spends nothing (`readOnlyHint`)."""
    open_world: bool = True
    """The tool talks to KIE, not only to the ledger (`openWorldHint`)."""

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return {"required": [], **plain_schema(self.arguments)}

    async def __call__(
        self, app: App, call: ToolCall, arguments: Mapping[str, Any]
    ) -> CallToolResult | InputRequiredResult:
        """Check the arguments and run the handler.

        Raises:
            InvalidCall: When the arguments are wrong.
            KieMcpError: When the handler raises it.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            checked = self.arguments.model_validate(coerce_arguments(given, self.input_schema))
        except ValidationError as error:
            problems = "; ".join(explain_problem(problem) for problem in error.errors(include_url=False))
            raise InvalidCall(f"{self.name}: {problems}.", "Mend the arguments and call again.") from None
        return await self.handler(app, call, checked)
