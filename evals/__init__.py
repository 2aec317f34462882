"""Evals: test whether a model or a search chooses the right tool for wishes and situations: `python -m evals`."""
