"""Files that are opened safely."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

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


def test_a_file_that_another_process_creates_at_this_moment_is_not_removed(tmp_path: Path) -> None:
    places, meet = [tmp_path / str(number) for number in range(300)], Barrier(2)

    def open_all(_: int) -> list[bool]:
        stayed = []
        for place in places:
            meet.wait(10)
            file = None
            with suppress(FileExistsError):
                file = disk.open_own_file(place)
            meet.wait(10)
            if file:
                stayed.append(disk.is_same_file(file, place))
                file.close()
        return stayed

    with ThreadPoolExecutor() as threads:
        one, two = threads.map(open_all, range(2))
    assert len(one) + len(two) >= len(places)
    assert all([*one, *two])
