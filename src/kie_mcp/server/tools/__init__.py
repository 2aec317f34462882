"""The tools that run no particular model (one module for each, or for a small group), and the list of all tools."""
