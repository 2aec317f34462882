"""The MCP server: the only place that imports mcp."""
