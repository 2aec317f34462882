"""One task, from arguments to saved media."""
