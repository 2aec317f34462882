"""The demo (`kie-mcp demo`): an MCP client starts kie-mcp with a fake KIE (the sandbox) and calls its tools."""
