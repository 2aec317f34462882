"""Start the server of the MCP bundle; kie_mcp lies beside this file."""

from kie_mcp.__main__ import main

main()
