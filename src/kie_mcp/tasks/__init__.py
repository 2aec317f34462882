"""Tasks: create tasks at KIE, follow each task to its end, and save the results."""
