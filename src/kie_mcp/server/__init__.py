"""The MCP server; only this package, and the demo's client, import the MCP SDK."""
