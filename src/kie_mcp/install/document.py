"""Find and change the entry of kie-mcp in the text of a configuration file, in JSON, TOML or YAML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from types import ModuleType
from typing import Any

from kie_mcp.errors import ConfigurationError
from kie_mcp.install import jsonc, toml, yaml
from kie_mcp.install.clients import Client, FormatName
from kie_mcp.install.config_file import ConfigFile, read_config
from kie_mcp.install.entry import NAME, OTHER_NAME, Entry, Server

FORMATS: Mapping[FormatName, ModuleType] = {"json": jsonc, "toml": toml, "yaml": yaml}
UNSAFE = "is of a form that cannot be changed safely"
Place = str | int
"""The key of an entry: its name in an object, or its index in a list."""


@dataclass(frozen=True, slots=True)
class Found:
    """The entry of kie-mcp that a configuration file contains."""

    place: Place
    entry: Entry
    server: Server


@dataclass(frozen=True, slots=True)
class Document:
    """The parsed content of a client's configuration file."""

    client: Client
    file: ConfigFile
    text: str
    """The file's text; if the file does not exist yet, the text of a new file without entries."""
    data: dict[str, Any]
    """The text's values, as a dictionary."""

    @classmethod
    def read(cls, client: Client, folders: Mapping[str, Path]) -> "Document":
        """Parse the configuration file of a client.

        Raises:
            ConfigurationError: When the file is damaged, or has a structure that kie-mcp does not know.
        """
        file = read_config(client.find_file(folders))
        text = client.fresh if file.content is None else file.text
        document = cls(client, file, text, {})
        try:
            data = document.format.parse(text)
        except ValueError as error:
            raise document.refuse(f"is damaged: {error}") from None
        servers = data.get(client.servers) if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(servers, (list if client.listed else dict) | None):
            raise document.refuse(f"has no {client.servers} of the usual form")
        return replace(document, data=data)

    @property
    def format(self) -> ModuleType:
        """The module that parses and changes this file's format."""
        return FORMATS[self.client.format]

    @property
    def found(self) -> list[Found]:
        """The entries of kie-mcp; a client may have several, such as one for the sandbox beside one that pays."""
        entries = (each for each in list_entries(self.data, self.client) if isinstance(each[1], dict))
        found = [Found(place, entry, self.client.shape.read(entry)) for place, entry in entries]
        return [each for each in found if each.server.is_ours]

    @property
    def others(self) -> list[Any]:
        """The entries of other servers."""
        ours = [each.place for each in self.found]
        return [entry for place, entry in list_entries(self.data, self.client) if place not in ours]

    @property
    def free_name(self) -> str:
        """The first free name for a new entry: `NAME`, `OTHER_NAME`, or `OTHER_NAME` with a number (`kie-mcp-2`)."""
        entries = list_entries(self.data, self.client)
        taken = [
            each.get("name") if self.client.listed and isinstance(each, dict) else place for place, each in entries
        ]
        numbered = (f"{OTHER_NAME}-{number}" for number in count(2))
        return next(name for name in chain((NAME, OTHER_NAME), numbered) if name not in taken)

    def put(self, place: Place, old: Entry, new: Entry) -> "Document":
        """Return the document with a new entry, or with new fields in an existing entry.

        Args:
            place: The key of the entry.
            old: The present fields of the entry; empty if the entry does not exist yet.
            new: The fields to set; the entry's other fields stay unchanged.

        Raises:
            ConfigurationError: When the change would affect other parts of the file.
        """
        text, way = self.text, (self.client.servers, place)
        for verb, *arguments in list_edits(way, old, new) if old else [("put", way, dict(new))]:
            text = self._change(verb, text, *arguments)
        return self._read_changed(text, place, {**old, **new})

    def remove(self, place: Place) -> "Document":
        """Return the document without an entry.

        Raises:
            ConfigurationError: When the change would affect other parts of the file.
        """
        text = self._change("remove", self.text, (self.client.servers, place))
        return self._read_changed(text, place, None)

    def refuse(self, reason: str) -> ConfigurationError:
        """Return the error for a file that cannot be changed."""
        return ConfigurationError(
            f"{self.file.path} {reason}. Nothing was changed.",
            f"Mend it, or put there yourself what `kie-mcp install --print {self.client.name}` prints.",
        )

    def _change(self, verb: str, *arguments: Any) -> str:
        try:
            return str(getattr(self.format, verb)(*arguments))
        except ValueError as error:
            raise self.refuse(f"cannot be changed safely: {error}") from None

    def _read_changed(self, text: str, place: Place, entry: Entry | None) -> "Document":
        """Parse a changed text, in which only the entry at `place` may have changed, to `entry` (None: no entry)."""
        try:
            after = self.format.parse(text)
        except ValueError:
            after = None
        if not isinstance(after, dict):
            raise self.refuse(UNSAFE)
        entries = {**dict(list_entries(self.data, self.client)), place: entry}
        kept = {where: each for where, each in entries.items() if where != place or entry is not None}
        wanted = list(kept.values()) if self.client.listed else kept
        rest, rest_after = ({**each, self.client.servers: None} for each in (self.data, after))
        if rest != rest_after or (after.get(self.client.servers) or None) != (wanted or None):
            raise self.refuse(UNSAFE)
        return replace(self, text=text, data=after)


def list_entries(data: Mapping[str, Any], client: Client) -> Iterator[tuple[Place, Any]]:
    """Yield all servers' entries in a client's configuration, each with its key."""
    servers = data.get(client.servers)
    yield from enumerate(servers or []) if client.listed else (servers or {}).items()


def list_edits(way: Sequence[Place], old: Entry, new: Entry) -> Iterator[tuple[Any, ...]]:
    """Yield the changes that turn an old entry into a new one: `("put", path, value)` or `("remove", path)`.

    Fields that only the old entry has stay unchanged. A field that both entries have gets the new value.
    """
    for field, value in new.items():
        before = old.get(field)
        if isinstance(value, dict) and isinstance(before, dict):
            yield from (("remove", (*way, field, name)) for name in before if name not in value)
            yield from (("put", (*way, field, name), each) for name, each in value.items() if before.get(name) != each)
        elif before != value:
            yield "put", (*way, field), value
