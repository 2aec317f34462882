"""Files that are opened safely."""

import sys
from pathlib import Path

import pytest

from kie_mcp import disk


def test_a_file_can_be_opened_to_be_read_or_to_be_changed(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_bytes(b"before")
    with disk.open_file(place, writable=True) as file:
        assert file.read() == b"before"
        file.seek(0)
        file.write(b"after!")
    with disk.open_file(place) as file:
        assert (file.read(), file.writable()) == (b"after!", False)


@pytest.mark.skipif(sys.platform == "win32", reason="Links need a right there.")
@pytest.mark.parametrize("writable", [False, True])
def test_a_link_is_not_opened(tmp_path: Path, *, writable: bool) -> None:
    (tmp_path / "a").write_bytes(b"secret")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="regular file"):
        disk.open_file(tmp_path / "b", writable=writable)
