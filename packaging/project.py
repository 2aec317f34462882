"""Read the facts that all manifests need from pyproject.toml, and the version from the package."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The root of the checkout."""


@dataclass(frozen=True)
class Project:
    """The facts about the project that the manifests contain."""

    name: str
    version: str
    description: str
    author: str
    license: str
    keywords: list[str]
    python: str
    """The supported versions of Python, such as `>=3.11`."""
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
        """Name in the MCP registry; each owner at GitHub has a namespace there."""
        return f"io.github.{self.slug}"

    @property
    def requirement(self) -> str:
        """Name and version of the package as an argument of uvx, such as `kie-mcp@1.0.0`."""
        return f"{self.name}@{self.version}"


def read_project(root: Path = ROOT) -> Project:
    """Read the facts about the project from the files of a checkout."""
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
    """Return the tested versions of all dependencies, such as `anyio==4.16.0`."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
