"""The file of a client, replaced whole: what is kept, and what is refused."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kie_mcp.errors import ConfigurationError
from kie_mcp.install.config_file import read_config

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Permissions and links of POSIX.")


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_the_file_as_it_was_is_kept_beside_it_and_no_other_user_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text("{}", encoding="utf-8")
    file.chmod(0o644)
    copies = [read_config(file).replace(text) for text in ("one", "two")]
    assert file.read_text(encoding="utf-8") == "two"
    assert [copy.read_text(encoding="utf-8") for copy in copies if copy] == ["{}", "one"]
    assert file.stat().st_mode & 0o777 == 0o644
    assert {copy.stat().st_mode & 0o777 for copy in copies if copy} == {0o600}
    assert len(names(tmp_path)) == 3


def test_a_link_stays_a_link_and_the_file_behind_it_is_changed(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "mcp.json"
    real.write_text("{}", encoding="utf-8")
    link = tmp_path / "mcp.json"
    link.symlink_to("dotfiles/mcp.json")
    copy = read_config(link).replace("new")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new"
    assert copy
    assert copy.parent == real.parent


def make_dangling(path: Path) -> None:
    path.symlink_to(path.parent / "missing")


def make_circle(path: Path) -> None:
    path.symlink_to(path)


def make_read_only(path: Path) -> None:
    path.write_text("{}", encoding="utf-8")
    path.chmod(0o444)


def make_second_name(path: Path) -> None:
    path.write_text("{}", encoding="utf-8")
    os.link(path, path.with_name("second"))


def make_other_text(path: Path) -> None:
    path.write_bytes("{}".encode("utf-16"))


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_file_of_another(path: Path) -> None:
    path.write_text("{}", encoding="utf-8")
    if os.getuid():
        pytest.skip("Only root can give a file away.")
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_dangling, "which does not exist"),
        (make_circle, "circle|does not exist|symbolic links"),
        (make_read_only, "is read-only"),
        (make_second_name, "second name"),
        (make_other_text, "UTF-8"),
        (make_folder, "no regular file"),
        (make_pipe, "no regular file"),
        (make_file_of_another, "another user"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_should_not_be_changed_is_refused_in_words(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "mcp.json"
    make(file)
    before = names(tmp_path)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        assert read_config(file).text
    assert caught.value.next_step
    assert names(tmp_path) == before


def test_a_file_that_the_client_has_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ".claude.json"
    file.write_text('{"numStartups": 1}', encoding="utf-8")
    read = read_config(file)
    file.write_text('{"numStartups": 2}', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="was changed at this moment"):
        read.replace("{}")
    assert file.read_text(encoding="utf-8") == '{"numStartups": 2}'
    assert names(tmp_path) == [".claude.json"]


def test_a_file_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "client").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be (read|written)"):
        read_config(tmp_path / "client" / "mcp.json").replace("{}")
    assert names(tmp_path) == ["client"]


def test_a_file_with_both_kinds_of_ends_of_lines_keeps_each(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(b"a\r\nb\n")
    read = read_config(file)
    read.replace(read.text + "c\n")
    assert file.read_bytes() == b"a\r\nb\nc\n"
