"""What every manifest says about kie-mcp: read from pyproject.toml, and the version from the package."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The root of the checkout."""


@dataclass(frozen=True)
class Project:
    """The project as pyproject.toml describes it."""

    name: str
    version: str
    description: str
    author: str
    license: str
    keywords: list[str]
    python: str
    """The versions of Python that it runs on, such as `>=3.11`."""
    dependencies: list[str]
    urls: dict[str, str]

    @property
    def repository(self) -> str:
        """URL of the repository."""
        return self.urls["Source"]

    @property
    def slug(self) -> str:
        """Owner and name of the repository, such as `owner/kie-mcp`."""
        return self.repository.removeprefix("https://github.com/")

    @property
    def registry_name(self) -> str:
        """Name in the MCP registry, which gives to each owner at GitHub a namespace."""
        return f"io.github.{self.slug}"

    @property
    def requirement(self) -> str:
        """This version of the package, as uvx is told."""
        return f"{self.name}@{self.version}"


def read_project(root: Path = ROOT) -> Project:
    """Return what pyproject.toml and the package in a checkout say."""
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = root / "src" / table["name"].replace("-", "_") / "__init__.py"
    (version,) = re.findall(r'^__version__ = "(.+)"$', module.read_text(encoding="utf-8"), re.MULTILINE)
    return Project(
        name=table["name"],
        version=version,
        description=table["description"],
        author=table["authors"][0]["name"],
        license=table["license"],
        keywords=table["keywords"],
        python=table["requires-python"],
        dependencies=table["dependencies"],
        urls=table["urls"],
    )


def read_constraints(root: Path = ROOT) -> list[str]:
    """Return the versions that the tests ran with, such as `anyio==4.16.0`."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
