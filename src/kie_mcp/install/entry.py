"""The entry of a server in a client's configuration: the names of its fields, and a check whether it starts kie-mcp."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
"""An entry as a dictionary, with the field names that the client's configuration file uses."""
NAME = "kie"
"""Name of kie-mcp's entry in a client's configuration."""
OTHER_NAME = "kie-mcp"
"""Name of kie-mcp's entry if another server already has the name `NAME`."""
OURS = re.compile(r"(^|[\\/\s])kie[-_]mcp(\[[\w,-]+\])?([@=<>~.][^\\/]*)?$")
"""Matches a command or argument that starts kie-mcp: `kie-mcp`, `/opt/bin/kie-mcp.exe`, `kie-mcp@1.2`, `kie_mcp`."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that a client starts: a command and its environment."""

    command: tuple[str, ...]
    """The program and its arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The environment variables that the client sets for the server."""

    @property
    def is_ours(self) -> bool:
        """Whether the command starts kie-mcp. The entry's name is ignored, because any server may have that name."""
        return any(OURS.search(part) for part in self.command)


@dataclass(frozen=True, slots=True)
class Shape:
    """The names of the fields of a server's entry in the configuration of one client."""

    command: str = "command"
    """Name of the entry's field that contains the program."""
    args: str | None = "args"
    """Name of the entry's field for the arguments; None if one field has the program and its arguments as a list."""
    env: str = "env"
    """Name of the entry's field that contains the environment variables."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields that this client needs, with their values for a new entry."""

    def write(self, server: Server, name: str = NAME) -> dict[str, Any]:
        """Return the entry for a server, with the field names of this client."""
        program, *arguments = server.command
        fields = {**self.more, **({"name": name} if "name" in self.more else {})}
        fields |= {self.command: server.command} if self.args is None else {self.command: program, self.args: arguments}
        fields |= {self.env: dict(server.env)} if server.env else {}
        return {field: list(value) if isinstance(value, tuple) else value for field, value in fields.items()}

    def read(self, entry: Entry) -> Server:
        """Return the server that an entry starts; if the entry has no command, the command of the server is empty."""
        command = entry.get(self.command)
        if isinstance(command, str):
            command = [command, *_read_list(entry.get(self.args or ""))]
        env = entry.get(self.env)
        variables = {name: str(value) for name, value in env.items()} if isinstance(env, Mapping) else {}
        return Server(tuple(map(str, _read_list(command))), variables)


def _read_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
