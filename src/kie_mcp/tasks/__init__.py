"""Tasks: create them at KIE, follow them, and save their results."""
