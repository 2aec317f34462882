"""Write the manifests with which clients and registries install kie-mcp: `scripts/packages`.

With --check it changes nothing, and only lists stale manifests. Name and description come from pyproject.toml.
"""

import argparse
import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from project import ROOT, Project, read_project
from snippets import write_snippets

TITLE = "KIE.ai media"
"""Name that lists of servers show to people."""
SERVER = "kie"
"""Name of the server in a client's configuration; clients put it before the names of the tools."""
KEY_PAGE = "https://kie.ai/api-key"
OUTPUT_DIR = "KIE_MCP_OUTPUT_DIR"
"""The setting for the folder that results are saved to."""
LINKS = re.compile(r"(<!-- install links: scripts/packages -->\n).*?(<!-- /install links -->)", re.DOTALL)
"""Matches the block in the README that contains the install links."""
Manifest = dict[str, Any]


def build_registry_entry(project: Project) -> Manifest:
    """Return server.json for the MCP registry; a release adds the bundle and the image, when these exist."""
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": project.registry_name,
        "title": TITLE,
        "description": project.description,
        "version": project.version,
        "websiteUrl": project.urls["Documentation"],
        "repository": {"url": project.repository, "source": "github"},
        "packages": [
            {
                "registryType": "pypi",
                "identifier": project.name,
                "version": project.version,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": list_variables(),
            }
        ],
    }


def list_variables() -> list[Manifest]:
    """Return the settings for which a client asks the user, in the form that server.json needs."""
    return [
        {
            "name": "KIE_API_KEY",
            "description": f"API key of KIE.ai, from {KEY_PAGE}",
            "isRequired": True,
            "isSecret": True,
        },
        {
            "name": "KIE_MCP_MAX_CREDITS_PER_DAY",
            "description": "Most credits that may be spent in 24 hours; a credit costs half a US cent",
            "format": "number",
            "placeholder": "1000",
        },
        {
            "name": OUTPUT_DIR,
            "description": "Folder that results are saved to; kie-mcp in your Downloads folder if nothing is given",
            "format": "filepath",
        },
    ]


def build_bundle_manifest(project: Project) -> Manifest:
    """Return manifest.json of the MCP bundle; its server is run with `uv`.

    Every option that is not required has a default. Without one, the server would get the text `${user_config.…}`.
    """
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/mcpb/mcpb-manifest-v0.4.schema.json",
        "manifest_version": "0.4",
        "name": project.name,
        "display_name": TITLE,
        "version": project.version,
        "description": project.description,
        "author": {"name": project.author, "url": project.repository},
        "repository": {"type": "git", "url": f"{project.repository}.git"},
        "homepage": project.repository,
        "documentation": project.urls["Documentation"],
        "support": project.urls["Issues"],
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": "src/start.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "src/start.py"],
                "env": {
                    "KIE_API_KEY": "${user_config.api_key}",
                    "KIE_MCP_OUTPUT_DIR": "${user_config.output_dir}${/}kie-mcp",
                    "KIE_MCP_MAX_CREDITS_PER_DAY": "${user_config.max_credits_per_day}",
                    "KIE_MCP_TOOLS": "${user_config.tools}",
                    "KIE_MCP_SANDBOX": "${user_config.sandbox}",
                },
            },
        },
        "tools_generated": True,
        "prompts_generated": True,
        "keywords": project.keywords,
        "license": project.license,
        # Prompts and files are sent only to KIE, so the link leads to KIE's site.
        "privacy_policies": ["https://kie.ai"],
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": project.python}},
        "user_config": {
            "api_key": {
                "type": "string",
                "title": "KIE.ai API key",
                "description": f"From {KEY_PAGE}. It is kept in your system's keychain and sent to KIE alone.",
                "sensitive": True,
                "required": True,
            },
            "output_dir": {
                "type": "directory",
                "title": "Folder for results",
                "description": "Results are saved to the folder kie-mcp in it.",
                "default": "${DOWNLOADS}",
            },
            "max_credits_per_day": {
                "type": "number",
                "title": "Most credits in 24 hours",
                "description": "More is refused. 1,000 credits are 5 US dollars.",
                "default": 1000,
                "min": 0,
            },
            "tools": {
                "type": "string",
                "title": "Tools",
                "description": "standard, compact, all, or names of tools and kinds with commas between them.",
                "default": "standard",
            },
            "sandbox": {
                "type": "boolean",
                "title": "Try it for free",
                "description": "Makes placeholders on a built-in stand-in for KIE. Nothing is sent or paid.",
                "default": False,
            },
        },
    }


def build_plugin(project: Project) -> Manifest:
    """Return plugin.json of the Claude Code plugin, which asks for the key when it is enabled."""
    return {
        "name": project.name,
        "version": project.version,
        "description": project.description,
        "author": {"name": project.author},
        "homepage": project.urls["Documentation"],
        "repository": project.repository,
        "license": project.license,
        "keywords": project.keywords,
        "userConfig": {
            "api_key": {
                "type": "string",
                "title": "KIE.ai API key",
                "description": f"From {KEY_PAGE}",
                "sensitive": True,
                "required": True,
            }
        },
        "mcpServers": {SERVER: {**run_package(project), "env": {"KIE_API_KEY": "${user_config.api_key}"}}},
    }


def build_marketplace(project: Project) -> Manifest:
    """Return marketplace.json, which makes this repository a marketplace for Claude Code with one plugin."""
    return {
        "name": project.name,
        "description": project.description,
        "owner": {"name": project.author},
        "plugins": [
            {
                "name": project.name,
                "source": "./packaging/claude-plugin",
                "description": project.description,
                "version": project.version,
            }
        ],
    }


def build_gemini_extension(project: Project) -> Manifest:
    """Return gemini-extension.json; Gemini CLI keeps the key in the system's keychain."""
    return {
        "name": project.name,
        "version": project.version,
        "description": project.description,
        "mcpServers": {SERVER: {**run_package(project), "env": {"KIE_API_KEY": "${KIE_API_KEY}"}}},
        "settings": [
            {
                "name": "KIE.ai API key",
                "description": f"From {KEY_PAGE}",
                "envVar": "KIE_API_KEY",
                "sensitive": True,
            }
        ],
    }


def build_glama(project: Project) -> Manifest:
    """Return glama.json, which tells Glama who may edit the server's page there."""
    return {"$schema": "https://glama.ai/mcp/schemas/server.json", "maintainers": [project.slug.partition("/")[0]]}


def build_smithery(project: Project) -> Manifest:
    """Return smithery.yaml; it is written as JSON, because every JSON text is valid YAML."""
    command = json.dumps(run_package(project))
    return {
        "startCommand": {
            "type": "stdio",
            "configSchema": {
                "type": "object",
                "required": ["apiKey"],
                "properties": {"apiKey": {"type": "string", "title": "KIE.ai API key", "description": KEY_PAGE}},
            },
            "commandFunction": f"(config) => ({{ ...{command}, env: {{ KIE_API_KEY: config.apiKey }} }})",
            "exampleConfig": {"apiKey": "your-key"},
        }
    }


def run_package(project: Project) -> Manifest:
    """Return the command with which a client starts this version of the package."""
    return {"command": "uvx", "args": [project.requirement]}


def link_cursor() -> str:
    """Return the link with which Cursor adds the server; the user has to replace `your-key` there."""
    config = {"command": "uvx", "args": ["kie-mcp"], "env": {"KIE_API_KEY": "your-key"}}
    packed = {"name": SERVER, "config": b64encode(_pack(config).encode())}
    return f"https://cursor.com/en/install-mcp?{urlencode(packed)}"


def link_vscode() -> str:
    """Return the link with which VS Code adds the server; it asks for the key."""
    file = build_vscode_file()
    packed = {"inputs": file["inputs"], "config": file["servers"][SERVER]}
    query = "&".join(f"{key}={quote(_pack(value), safe='')}" for key, value in packed.items())
    return f"https://insiders.vscode.dev/redirect/mcp/install?name={SERVER}&{query}"


def build_vscode_file() -> Manifest:
    """Return mcp.json for VS Code; VS Code asks for the key, and does not store it in this file."""
    inputs = [{"type": "promptString", "id": "kie-key", "description": "KIE.ai key", "password": True}]
    config = {"type": "stdio", "command": "uvx", "args": ["kie-mcp"], "env": {"KIE_API_KEY": "${input:kie-key}"}}
    return {"inputs": inputs, "servers": {SERVER: config}}


def _pack(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def write_links(page: str, project: Project) -> str:
    """Return the README with new install links, and with the line that proves ownership to the MCP registry."""
    bundle = f"{project.repository}/releases/latest/download/{project.name}.mcpb"
    plugin = f"claude plugin install {project.name}@{project.name} --config api_key=your-key"
    ways = (
        f"**Claude Desktop**: [download the bundle]({bundle}), open it, and press Install.",
        f"**Cursor**: [install]({link_cursor()}), and write your key in place of `your-key`.",
        f"**VS Code**: [install]({link_vscode()}). It asks for the key.",
        f"**Claude Code**: `claude plugin marketplace add {project.slug}`, then `{plugin}`.",
        f"**Gemini CLI**: `gemini extensions install {project.repository}`. It asks for the key.",
    )
    listed = "\n".join(f"- {way}" for way in ways)
    links = f"""\
<!-- mcp-name: {project.registry_name} -->
Once a version is published, these add the server as well:

{listed}
"""
    return LINKS.sub(lambda block: f"{block[1]}{links}\n{block[2]}", page)


MANIFESTS: dict[str, Callable[[Project], Manifest]] = {
    "server.json": build_registry_entry,
    "packaging/mcpb/manifest.json": build_bundle_manifest,
    "packaging/claude-plugin/.claude-plugin/plugin.json": build_plugin,
    ".claude-plugin/marketplace.json": build_marketplace,
    "gemini-extension.json": build_gemini_extension,
    "glama.json": build_glama,
    "smithery.yaml": build_smithery,
}
"""For each manifest's path in the checkout, the function that builds it."""


def write_all(project: Project) -> dict[str, str]:
    """Return the text of every file that depends on pyproject.toml; the keys are paths in the checkout."""
    files = {
        place: json.dumps(build(project), indent=2, ensure_ascii=False) + "\n" for place, build in MANIFESTS.items()
    }
    readme, hosts = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/hosts.md"))
    files |= {"README.md": write_links(readme, project), "docs/hosts.md": write_snippets(hosts, build_vscode_file())}
    return files


def main() -> int:
    """Write the manifests, or with --check return 1 if one of them is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = []
    for place, text in write_all(read_project()).items():
        file = ROOT / place
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(place)
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    print("\n".join(stale))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
