"""The wheel and the sdist: the same bytes each time, and all that belongs into them."""

import os
import re
import subprocess
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from hashlib import sha256
from pathlib import Path

import pytest
from build import build_python_packages
from project import read_project
from support.paths import ROOT


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = build_python_packages(ROOT, tmp_path_factory.mktemp("dist"))
    return {"sdist": made[1], "wheel": made[0]} if made[0].suffix == ".whl" else {"sdist": made[0], "wheel": made[1]}


@pytest.fixture(scope="module")
def metadata(packages: dict[str, Path]) -> Message:
    with zipfile.ZipFile(packages["wheel"]) as wheel:
        (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
        return Parser().parsestr(wheel.read(name).decode())


def test_a_build_of_the_unpacked_sdist_makes_the_same_sdist_and_wheel(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    # The `filter` of tarfile came with Python 3.11.4.
    subprocess.run(["tar", "-xf", packages["sdist"], "-C", tmp_path], check=True)
    (unpacked,) = tmp_path.iterdir()
    for file in unpacked.rglob("*"):
        os.utime(file, (10**9, 10**9))
    made = build_python_packages(unpacked, tmp_path / "dist")
    assert {each.name: sha256(each.read_bytes()).hexdigest() for each in made} == {
        each.name: sha256(each.read_bytes()).hexdigest() for each in packages.values()
    }


def test_the_sdist_has_what_a_packager_tests_with(packages: dict[str, Path]) -> None:
    with tarfile.open(packages["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    needed = (
        "tests/conftest.py",
        "docs/models.md",
        "scripts/test",
        "constraints.txt",
        "CONTRIBUTING.md",
        "server.json",
    )
    assert set(needed) <= names
    assert not [name for name in names if re.search(r"__pycache__|\.node|\.venv|^dist/", name)]


def test_the_wheel_has_the_package_alone(packages: dict[str, Path]) -> None:
    with zipfile.ZipFile(packages["wheel"]) as wheel:
        names = wheel.namelist()
    assert {name.partition("/")[0] for name in names} == {"kie_mcp", f"kie_mcp-{read_project().version}.dist-info"}
    assert "kie_mcp/py.typed" in names


def test_every_link_of_the_package_s_page_leads_somewhere(metadata: Message) -> None:
    page = metadata.get_payload()
    assert isinstance(page, str)
    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", page) if not re.match(r"https?://|#", link)] == []
    project = read_project()
    inside = re.findall(rf"\]\({project.repository}/blob/v{project.version}/([^)#]+)", page)
    assert len(inside) >= 5
    assert [path for path in inside if not (ROOT / path).exists()] == []
    pictures = re.findall(rf"!\[[^\]]+\]\({project.repository}/raw/v{project.version}/([^)]+)\)", page)
    assert len(pictures) == page.count("![") == 2
    assert [path for path in pictures if not (ROOT / path).is_file()] == []


def test_the_package_s_page_tells_where_everything_is(metadata: Message) -> None:
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL", []))
    assert urls == read_project().urls
    versions = [each.rpartition(" ")[2] for each in metadata.get_all("Classifier", []) if ":: 3." in each]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert metadata["Description-Content-Type"] == "text/markdown"
