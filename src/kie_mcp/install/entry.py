"""The entry of a server in a client's configuration: the names of its fields, and a check whether it starts kie-mcp."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import dropwhile, pairwise
from typing import Any

Entry = Mapping[str, Any]
"""An entry as a dictionary, with the field names that the client's configuration file uses."""
NAME = "kie"
"""Name of kie-mcp's entry in a client's configuration."""
OTHER_NAME = "kie-mcp"
"""Name of kie-mcp's entry if another server already has the name `NAME`."""
OUR_PROGRAM = re.compile(r"(^|[\\/\s])kie[-_]mcp(\[[\w,-]+\])?([@=<>~.][^\\/]*)?$")
"""Matches a program that is kie-mcp: `kie-mcp`, `/opt/bin/kie-mcp.exe`."""
OUR_ARGUMENT = re.compile(
    r"(git\+.*/|.*[\\/](bin|Scripts)[\\/])?kie[-_]mcp(\.exe|\.git)?(\[[\w,-]+\])?(\s*[@=<>~!#].*)?", re.DOTALL
)
"""Matches an argument that names kie-mcp as a program or package: `kie-mcp@1.2`, `kie_mcp`, `git+https://…/kie-mcp`.

A path matches only in a folder of programs: other servers have arguments such as `/home/ann/Downloads/kie-mcp`, the
folder in which kie-mcp saves results.
"""
OPTIONS = {"--tools": "KIE_MCP_TOOLS", "--prefix": "KIE_MCP_PREFIX"}
"""The options of kie-mcp as a server; each maps to the setting with the same meaning."""
SHELL_OPTION = re.compile(r"-\w*c|-command|/[ck]", re.IGNORECASE)
"""Matches the option of a shell after which a command line follows, such as `-c` of `sh` or `/c` of `cmd`."""


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
        return bool(self._own_part)

    @property
    def is_free(self) -> bool:
        """Whether kie-mcp uses its sandbox, and so spends no credits."""
        return self._is_on("KIE_MCP_SANDBOX")

    @property
    def uses_keyring(self) -> bool:
        """Whether kie-mcp reads the API key from the system's keyring."""
        return self._is_on("KIE_MCP_KEYRING")

    def _is_on(self, setting: str) -> bool:
        return self.env.get(setting, "").lower() in {"1", "true", "on", "yes", "y", "t"}

    @property
    def options(self) -> dict[str, str]:
        """The values of those `OPTIONS` that the command gives to kie-mcp."""
        words = [word for part in self._own_part for word in (part.split("=", 1) if part[:2] == "--" else [part])]
        return {option: value for option, value in pairwise(words) if option in OPTIONS}

    @property
    def _own_part(self) -> tuple[str, ...]:
        """The end of the command, from the first part that names kie-mcp; empty if no part does.

        In place of a command line for a shell (`sh -c "uvx kie-mcp"`), it has the words of this line.
        """
        if OUR_PROGRAM.search("".join(self.command[:1])):
            return self.command
        arguments: list[str] = []
        for before, each in pairwise(self.command):
            arguments += re.findall(r"[^\s'\"]+", each) if SHELL_OPTION.fullmatch(before) else [each]
        return tuple(dropwhile(lambda each: not OUR_ARGUMENT.fullmatch(each), arguments))


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
