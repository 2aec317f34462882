"""No file of another kind is paid for: in every media field of every model, however the file is named."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.clock import JumpingClock
from support.media_files import picture, sound

from kie_mcp.catalog.fields import AnyFile, Limits, MediaRef
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.schema import walk_annotation
from kie_mcp.errors import InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Result, Task
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.references import References
from kie_mcp.tasks.storage import FolderStorage
from kie_mcp.tasks.uploads import Uploader

pytestmark = pytest.mark.anyio

NAMES = {"image": "a.png", "video": "a.mp4", "audio": "a.wav"}


def find_fields(model: type) -> Iterator[tuple[type[MediaRef], Limits]]:
    """Yield the class and the limits of every media field of a model, and of the parts in its fields."""
    for field in model.model_fields.values():  # type: ignore[attr-defined]
        parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
        limits = next((part for part in parts if isinstance(part, Limits)), Limits())
        for part in parts:
            if isinstance(part, type) and issubclass(part, MediaRef):
                yield part, limits
            elif hasattr(part, "model_fields"):
                yield from find_fields(part)


FIELDS = {model: sorted(set(find_fields(cls)), key=str) for model, cls in MODELS.items()}
"""The media fields of every model: the class and the limits of each."""


@pytest.fixture
async def references(tmp_path: Path, kie: KieClient, clock: JumpingClock) -> AsyncIterator[References]:
    """References to one file of each kind: on disk, at KIE, and as results of a task."""
    contents = {
        "image": picture(600, 600),
        "video": render_file("1.mp4", MediaContent("a fox", "1", "16:9")),
        "audio": sound(4),
    }
    ledger = await Ledger.open(tmp_path / "data")
    for kind, content in contents.items():
        path = tmp_path / NAMES[kind]
        path.write_bytes(content)
        task = Task(f"t_{kind}", "tool", "model", "image", "jobs", {}, clock.time(), state="succeeded", saved=True)
        mime_type = {"image": "image/png", "video": "video/mp4", "audio": "audio/wav"}[kind]
        task.results = [Result(f"https://files.example/{path.name}", path=str(path), mime_type=mime_type)]
        await ledger.add(task)
    uploader = Uploader(kie, ledger, folders=AllowedFolders([tmp_path]), clock=clock, guarded=False)
    yield References(uploader, ledger, clock, FolderStorage(tmp_path))
    await ledger.close()


def test_most_models_take_a_file() -> None:
    assert sum(map(bool, FIELDS.values())) > 80


@pytest.mark.parametrize("given", NAMES)
async def test_every_media_field_refuses_the_other_kinds(references: References, tmp_path: Path, given: str) -> None:
    spellings = (str(tmp_path / NAMES[given]), f"https://files.example/{NAMES[given]}", f"task:t_{given}#1")
    accepted, refused = set(), 0
    for field, limits in {each for fields in FIELDS.values() for each in fields}:
        takes_clips = field.medium == "image" and "mp4" in limits.formats.split()
        if field is AnyFile or field.medium == given or (takes_clips and given == "video"):
            continue
        for spelling in spellings:
            ref = field(spelling)
            ref.limits = limits
            try:
                await references.identify([ref])
            except InvalidCall:
                refused += 1
                continue
            accepted.add((field.medium, limits, spelling))
    assert accepted == set()
    assert refused > 30
