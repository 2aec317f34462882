"""Measurements that compare kie-mcp with something else in the same run."""
