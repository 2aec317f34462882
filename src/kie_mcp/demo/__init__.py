"""The demo (`kie-mcp demo`): an MCP client starts kie-mcp with the sandbox (a fake KIE), and calls tools like an agent."""
