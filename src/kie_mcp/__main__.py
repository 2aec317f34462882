"""The program `kie-mcp`: without arguments it serves MCP on stdio; with arguments it runs a command."""

import os
import sys

from kie_mcp.errors import ConfigurationError


def main() -> None:
    """Run the server or a command; when the settings are wrong, print a message and exit with status 2."""
    try:
        if len(sys.argv) > 1:
            from kie_mcp.cli import cli

            cli()
        else:
            from kie_mcp.server.stdio import serve_stdio

            serve_stdio(os.environ.get("KIE_MCP_TOOLS", ""), os.environ.get("KIE_MCP_PREFIX", ""))
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{error.next_step}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
