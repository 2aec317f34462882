"""The sandbox: a fake KIE inside this process, for tests and for trying things without a key."""
