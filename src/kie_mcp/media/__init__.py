"""Media files: what they are, what a model takes of them, what they look like. Knows no task."""
