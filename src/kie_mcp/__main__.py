"""`kie-mcp`: without arguments an MCP server on stdio, else a command."""

import os
import sys

from kie_mcp.errors import ConfigurationError


def main() -> None:
    """Run the server or a command; end with a message and status 2, not a traceback, when the settings are wrong."""
    try:
        if len(sys.argv) > 1:
            from kie_mcp.cli import cli

            cli()
        else:
            from kie_mcp.server.stdio import serve_stdio

            serve_stdio(os.environ.get("KIE_MCP_TOOLS", ""))
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{error.next_step}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
