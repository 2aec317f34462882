"""Does the right tool get chosen? Wishes and situations as data, and two ways to score them: `python -m evals`."""
