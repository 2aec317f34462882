"""Where the key comes from when kie-mcp is installed."""

from pathlib import Path

import pytest

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.install.key import keep_key

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(
    ("earlier", "kept"),
    [
        ([{"KIE_API_KEY": "your-key"}], KEY),
        ([{"KIE_API_KEY": "${input:kie-key}"}, {}], KEY),
        ([{"KIE_API_KEY": f"Bearer {OTHER}"}], KEY),
        ([{"KIE_API_KEY": "your-key"}, {"KIE_API_KEY": f" {OTHER} "}], OTHER),
        ([{"KIE_AI_API_KEY": OTHER}], OTHER),
    ],
)
def test_the_key_is_asked_for_unless_an_earlier_entry_has_one_that_somebody_filled_in(
    earlier: list[dict[str, str]], kept: str, tmp_path: Path
) -> None:
    keep_key(Settings(data_dir=tmp_path), earlier, lambda: KEY, keyring=False)
    assert (tmp_path / "api-key").read_text(encoding="utf-8").strip() == kept


def test_an_own_file_without_a_key_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    file.write_text("your-key\n", encoding="utf-8")
    told = keep_key(Settings(data_dir=tmp_path), (), lambda: KEY, keyring=False)
    assert (file.read_text(encoding="utf-8").strip(), str(file) in told) == (KEY, True)


def test_a_file_of_the_user_without_a_key_is_told_and_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        keep_key(Settings(data_dir=tmp_path, KIE_API_KEY_FILE=tmp_path / "gone"), (), lambda: KEY, keyring=False)
