"""`kie-mcp install`: put kie-mcp into the configuration of MCP clients, and take it out again."""
