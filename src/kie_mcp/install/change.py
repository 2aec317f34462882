"""Plan the change of a client's configuration file that adds or removes kie-mcp."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from itertools import chain
from pathlib import Path

from kie_mcp.install.clients import Client
from kie_mcp.install.config_file import ConfigFile
from kie_mcp.install.document import FORMATS, Document
from kie_mcp.install.entry import NAME, OPTIONS, Entry, Server
from kie_mcp.install.masking import SHOWN, find_secrets, hide

REPLACED = ("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE", "KIE_MCP_SANDBOX", "KIE_MCP_KEYRING")
"""Environment variables that say where the API key is; they are never copied from an old entry into the new one."""
CAPS = "KIE_MCP_MAX_CREDITS"
"""The beginning of the names of settings that limit spending."""


@dataclass(frozen=True, slots=True)
class Change:
    """A planned change of a client's configuration file."""

    client: Client
    file: ConfigFile
    after: str
    """The file's text after the change."""
    secrets: tuple[str, ...]
    """Texts that the diff must not show."""
    before: tuple[Server, ...] = ()
    """The servers in the old entries of kie-mcp; empty if there is no old entry."""

    @property
    def is_needed(self) -> bool:
        """Whether the new text differs from the old one."""
        return self.after != self.file.text

    @property
    def diff(self) -> list[str]:
        """The changed lines with one line of context before and after them, without secrets."""
        name = self.file.path.name
        before, after = (hide(text, self.secrets).splitlines() for text in (self.file.text, self.after))
        return list(unified_diff(before, after, f"{name} (now)", name, n=1, lineterm=""))


def plan_install(client: Client, folders: Mapping[str, Path], server: Server) -> Change:
    """Return the change that puts kie-mcp into a client's file.

    If the file has an entry of kie-mcp already, the entry keeps its name and the user's other settings and options. Of
    several entries, the one that pays as `server` does is changed, and caps are set in all that pay.

    Raises:
        ConfigurationError: When the file is damaged, or has a structure that kie-mcp does not know.
    """
    document = Document.read(client, folders)
    shape, found = client.shape, document.found
    chosen = min(found, key=lambda each: (each.server.is_free != server.is_free, each.place != NAME), default=None)
    old: Entry = {}
    place: str | int = document.free_name
    if chosen:
        place, old = chosen.place, chosen.entry
        kept = {name: value for name, value in chosen.server.env.items() if name not in REPLACED}
        options = {name: value for name, value in chosen.server.options.items() if OPTIONS[name] not in server.env}
        server = Server((*server.command, *chain.from_iterable(options.items())), {**kept, **server.env})
    elif client.listed:
        place = len(document.data.get(client.servers) or [])
    new = shape.write(server, document.free_name)
    # The fields in `shape.more`, such as `enabled`, keep their old values, because the user may have changed them.
    after = document.put(place, old, {**new, **{name: old[name] for name in shape.more if name in old}})
    caps = {name: value for name, value in server.env.items() if name.startswith(CAPS)}
    for other in found:
        if caps and other is not chosen and not other.server.is_free:
            after = after.put(other.place, other.entry, {shape.env: {**other.server.env, **caps}})
    own = (server, *(each.server for each in found))
    shown = [text for each in own for name, text in each.env.items() if name in SHOWN]
    secrets = find_secrets(document.data, after.data, others=document.others, shown=shown)
    return Change(client, document.file, after.text, secrets, tuple(each.server for each in found))


def plan_removal(client: Client, folders: Mapping[str, Path]) -> Change:
    """Return the change that removes all entries of kie-mcp from a client's file.

    Raises:
        ConfigurationError: When the file is damaged, or has a structure that kie-mcp does not know.
    """
    document = after = Document.read(client, folders)
    for found in reversed(document.found):
        after = after.remove(found.place)
    # A file that does not exist is not created.
    text = after.text if document.found else document.file.text
    before = tuple(found.server for found in document.found)
    return Change(client, document.file, text, find_secrets(document.data, others=document.others), before)


def find_servers(client: Client, folders: Mapping[str, Path]) -> list[Server]:
    """Return the commands and settings with which a client starts kie-mcp; empty if the client has no entry for it.

    Raises:
        ConfigurationError: When the file is damaged, or has a structure that kie-mcp does not know.
    """
    return [found.server for found in Document.read(client, folders).found]


def make_snippet(client: Client, server: Server) -> str:
    """Return the text of a client's configuration file that has only the entry of kie-mcp."""
    path = (client.servers, 0 if client.listed else NAME)
    return str(FORMATS[client.format].put(client.fresh, path, client.shape.write(server)))
