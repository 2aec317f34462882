"""Who calls the server over HTTP, and with whose key."""
