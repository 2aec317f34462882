"""The sandbox: a fake KIE inside this process, for tests and for trying kie-mcp without an API key."""
