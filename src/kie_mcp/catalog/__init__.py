"""The catalogue of KIE's models: each model is a class, and each MCP tool runs a family of models."""
