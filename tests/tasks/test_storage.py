"""Whether the saved file of a result still exists."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from support.media_files import picture

from kie_mcp.ledger.task import Result
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio


class TroubledStorage(FolderStorage):
    """A storage whose files cannot be opened at the moment."""

    trouble = 0

    def _open_place(self, place: str) -> IO[bytes]:
        raise OSError(self.trouble, os.strerror(self.trouble), place)


@pytest.mark.parametrize("trouble", [errno.EMFILE, errno.EACCES, errno.EIO])
async def test_a_file_that_cannot_be_opened_at_the_moment_is_still_there(tmp_path: Path, trouble: int) -> None:
    file, storage = tmp_path / "a.png", TroubledStorage(tmp_path)
    file.write_bytes(picture())
    storage.trouble = trouble
    assert await storage.is_there(Result("", str(file), "image/png"))


def replace_by_link(file: Path) -> None:
    file.rename(file.with_name("b.png"))
    file.symlink_to("b.png")


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "lose",
    [Path.unlink, replace_by_link, replace_by_folder, lambda file: file.write_bytes(b"words")],
    ids=["removed", "replaced by a link", "replaced by a folder", "replaced by a text"],
)
async def test_a_file_that_was_removed_or_replaced_is_not_there_any_more(
    tmp_path: Path, lose: Callable[[Path], object]
) -> None:
    file, storage = tmp_path / "a.png", FolderStorage(tmp_path)
    file.write_bytes(picture())
    result = Result("", str(file), "image/png")
    assert await storage.is_there(result)
    lose(file)
    assert not await storage.is_there(result)
