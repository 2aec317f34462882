"""What extends the core protocol: MCP Tasks, the gallery (MCP Apps), subscriptions."""
