"""An open media file, with the facts about it that an upload needs."""

from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True, slots=True)
class Content:
    """An open file with the values that an upload needs: its name, MIME type and size in bytes."""

    file: IO[bytes]
    name: str
    mime_type: str
    size: int
    found_at: str = ""
    """Path at which the file was found, if the caller gave only the file's name; empty otherwise."""
