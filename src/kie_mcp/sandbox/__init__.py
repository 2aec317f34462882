"""A KIE in this process, for people without a key and for tests."""
