"""The MCP server. Besides this package, only the MCP clients in `demo` and `cli` import the MCP SDK."""
