"""Build what a release publishes, into dist: wheel, sdist, MCP bundle, and server.json with the bundle in it.

`scripts/packages build` runs this program. For a release, `--image NAME` adds the Docker image, which is pushed before.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from manifests import OUTPUT_DIR, build_registry_entry, list_variables
from project import ROOT, Project, read_constraints, read_project

MCPB = ROOT / ".node" / "node_modules" / ".bin" / "mcpb"
"""The official tool for MCP bundles, which scripts/node installs."""
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", ".venv", "uv.lock")


def build_python_packages(root: Path, into: Path, *only: str) -> list[Path]:
    """Build the wheel and the sdist of a checkout, or only one of them, and return their paths."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(into)]
    command += [word for kind in only for word in ("--target", kind)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return sorted([*into.glob("*.whl"), *into.glob("*.tar.gz")])


def stage_bundle(folder: Path, project: Project) -> Path:
    """Put everything that belongs into the MCP bundle into a new folder, and return the folder."""
    shutil.copytree(ROOT / "packaging" / "mcpb", folder, ignore=LEFT_BEHIND)
    shutil.copytree(ROOT / "src" / "kie_mcp", folder / "src" / "kie_mcp", ignore=LEFT_BEHIND)
    shutil.copy(ROOT / "LICENSE", folder)
    (folder / "pyproject.toml").write_text(write_bundle_project(project), encoding="utf-8")
    return folder


def write_bundle_project(project: Project) -> str:
    """Return pyproject.toml of the bundle: the server's dependencies, limited to the versions that were tested."""
    lists = {"dependencies": project.dependencies, "constraint-dependencies": read_constraints()}
    shown = {
        name: "\n".join([f"{name} = [", *(f"  {json.dumps(each)}," for each in values), "]"])
        for name, values in lists.items()
    }
    return f"""\
[project]
name = "{project.name}-bundle"
version = "{project.version}"
description = "{project.description}"
requires-python = "{project.python}"
{shown["dependencies"]}

[tool.uv]
package = false
{shown["constraint-dependencies"]}
"""


def pack_bundle(into: Path, project: Project) -> Path:
    """Validate and pack the MCP bundle with the official tool, and return its path."""
    bundle = into / f"{project.name}.mcpb"
    with tempfile.TemporaryDirectory() as folder:
        staged = stage_bundle(Path(folder) / "bundle", project)
        for command in (["validate", str(staged / "manifest.json")], ["pack", str(staged), str(bundle)]):
            subprocess.run([str(MCPB), *command], check=True, capture_output=True)
    return bundle


def complete_registry_entry(project: Project, bundle: Path, image: str) -> dict[str, Any]:
    """Return server.json with the bundle and, if `image` is not empty, with the image of this release."""
    entry = build_registry_entry(project)
    entry["packages"].append(
        {
            "registryType": "mcpb",
            "identifier": f"{project.repository}/releases/download/v{project.version}/{bundle.name}",
            "version": project.version,
            "fileSha256": sha256(bundle.read_bytes()).hexdigest(),
            "transport": {"type": "stdio"},
        }
    )
    if image:
        entry["packages"].append(
            {
                "registryType": "oci",
                "identifier": f"{image}:{project.version}",
                "runtimeHint": "docker",
                "runtimeArguments": list_mounts(),
                # In place of the image's command, which serves HTTP.
                "packageArguments": [{"type": "positional", "value": "serve"}],
                "transport": {"type": "stdio"},
                "environmentVariables": [each for each in list_variables() if each["name"] != OUTPUT_DIR],
            }
        )
    return entry


def list_mounts() -> list[dict[str, Any]]:
    """Return what Docker mounts at the folders that the image writes to, which otherwise end with the container."""
    folder = {
        "description": "Folder that results are saved to. On Linux, the user 10001 must be allowed to write to it",
        "format": "filepath",
        "isRequired": True,
    }
    results = {"value": "type=bind,src={output_dir},dst=/media", "variables": {"output_dir": folder}}
    return [
        {"type": "named", "name": "--mount", **mount}
        for mount in ({"value": "type=volume,src=kie-mcp,dst=/data"}, results)
    ]


def main() -> None:
    """Build everything and print the paths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="", help="the image's name with its registry, without a tag")
    image = parser.parse_args().image
    project, into = read_project(), ROOT / "dist"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    made = build_python_packages(ROOT, into)
    bundle = pack_bundle(into, project)
    entry = into / "server.json"
    entry.write_text(json.dumps(complete_registry_entry(project, bundle, image), indent=2) + "\n", encoding="utf-8")
    print(*made, bundle, entry, sep="\n")


if __name__ == "__main__":
    main()
