"""A server's entry in the configuration of a client: how each client spells it, and whether it starts kie-mcp."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
"""The value of an entry, as the client's file has it."""
NAME = "kie"
"""Name of the entry."""
OTHER_NAME = "kie-mcp"
"""Name of the entry if `NAME` is taken by a server that is not kie-mcp."""
OURS = re.compile(r"(^|[\\/\s])kie[-_]mcp(\[[\w,-]+\])?([@=<>~.][^\\/]*)?$")
"""Matches a command or argument that starts kie-mcp: `kie-mcp`, `/opt/bin/kie-mcp.exe`, `kie-mcp@1.2`, `kie_mcp`."""


@dataclass(frozen=True, slots=True)
class Server:
    """What a client starts."""

    command: tuple[str, ...]
    """The program and its arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The environment variables that the client sets for it."""

    @property
    def is_ours(self) -> bool:
        """Whether it is kie-mcp; another program may have the same name in a client."""
        return any(OURS.search(part) for part in self.command)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a client spells an entry."""

    command: str = "command"
    """The field of the program."""
    args: str | None = "args"
    """The field of the program's arguments; None if the program and its arguments are one list."""
    env: str = "env"
    """The field of the environment variables."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this client wants besides, with their values in a new entry."""

    def write(self, server: Server, name: str = NAME) -> dict[str, Any]:
        """Return the entry of a server."""
        program, *arguments = server.command
        fields = {**self.more, **({"name": name} if "name" in self.more else {})}
        fields |= {self.command: server.command} if self.args is None else {self.command: program, self.args: arguments}
        fields |= {self.env: dict(server.env)} if server.env else {}
        return {field: list(value) if isinstance(value, tuple) else value for field, value in fields.items()}

    def read(self, entry: Entry) -> Server:
        """Return the server of an entry; what has another shape, such as one with a URL, has no command."""
        command = entry.get(self.command)
        if isinstance(command, str):
            command = [command, *_read_list(entry.get(self.args or ""))]
        env = entry.get(self.env)
        variables = {name: str(value) for name, value in env.items()} if isinstance(env, Mapping) else {}
        return Server(tuple(map(str, _read_list(command))), variables)


def _read_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
