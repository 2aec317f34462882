"""Extensions of the core protocol: MCP Tasks, the gallery (MCP Apps), subscriptions."""
