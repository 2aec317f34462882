"""Takes ffmpeg's place on a machine without other programs: a film is one of its sources, after some seconds."""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from world import World

from kie_mcp.catalog.fields import Ref
from kie_mcp.film import editing
from kie_mcp.film.editing import Film
from kie_mcp.film.timeline import Timeline

SECONDS = 1, 4, 30
"""How long it may take to make a film."""
MIME_TYPES = {".png": "image/png", ".mp3": "audio/mpeg"}


@dataclass(frozen=True, slots=True)
class _Length:
    seconds: float = 4


@dataclass(frozen=True, slots=True)
class _Edit:
    path: Path
    layout: _Length = _Length()


@contextmanager
def in_place_of_ffmpeg(world: World) -> Iterator[None]:
    """Have films made by a program that takes time, and finds the disk full now and then."""

    async def prepare(_: Timeline, folder: Path, names: Mapping[Ref, str], __: str = "") -> _Edit:
        return _Edit(folder / next(iter(names.values())))

    async def make_film(edit: _Edit, report: Callable[[float], None]) -> Film:
        await anyio.sleep(world.choices.choice(SECONDS))
        report(0.5)
        if world.happens("edit: disk full", 0.1):
            raise OSError(errno.ENOSPC, "No space left on device")
        return Film(Path(shutil.copy(edit.path, edit.path.with_stem("film"))), MIME_TYPES[edit.path.suffix])

    module: Any = editing
    before = module.find_program, module.prepare, module.make_film
    module.find_program, module.prepare, module.make_film = (lambda: ""), prepare, make_film
    try:
        yield
    finally:
        module.find_program, module.prepare, module.make_film = before
