"""One module for each vendor, or for each product line of a large one."""
