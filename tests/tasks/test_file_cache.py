"""The folder with copies of files keeps those that were used last, on every system."""

import os
from pathlib import Path
from typing import IO

from kie_mcp.tasks.file_cache import FileCache


def write(file: IO[bytes]) -> None:
    file.write(b"ten bytes!")


def test_a_copy_that_is_used_counts_as_new(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 100)
    os.utime(cache.add("a", write), (1, 1))
    assert cache.find("a") == tmp_path / "a"
    assert (tmp_path / "a").stat().st_mtime > 1
    assert cache.find("b") is None


def test_a_new_copy_is_kept_although_the_clock_was_set_back(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 25)
    for name in ("a", "b"):
        os.utime(cache.add(name, write), (2**31, 2**31))
    assert cache.add("c", write).exists()
    assert len(list(tmp_path.iterdir())) == 2
