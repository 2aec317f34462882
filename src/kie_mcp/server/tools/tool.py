"""A tool that is no model's: its words, its arguments, what it does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, ConfigDict, ValidationError

from kie_mcp.catalog.arguments import coerce_arguments, explain_problem, is_empty, tidy
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.errors import InvalidCall
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked


class Arguments(BaseModel):
    """What a utility takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Run = Callable[[App, Asked, Any], Awaitable[CallToolResult | InputRequiredResult]]


@dataclass(frozen=True)
class Tool:
    """One tool: its words, its arguments, what it does."""

    name: str
    description: str
    arguments: type[BaseModel]
    run: Run
    read_only: bool = True
    open_world: bool = True

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The arguments as hosts take them."""
        return {"required": [], **plain_schema(self.arguments)}

    async def __call__(
        self, app: App, asked: Asked, arguments: Mapping[str, Any]
    ) -> CallToolResult | InputRequiredResult:
        """Check the arguments, then run."""
        schema = self.input_schema
        given = {
            name.strip(): value
            for name, value in arguments.items()
            if value is not None and (name in schema["required"] or not is_empty(tidy(value)))
        }
        try:
            checked = self.arguments.model_validate(coerce_arguments(given, schema))
        except ValidationError as error:
            words = "; ".join(explain_problem(problem) for problem in error.errors(include_url=False))
            raise InvalidCall(f"{self.name}: {words}.", "Mend the arguments and call again.") from None
        return await self.run(app, asked, checked)
