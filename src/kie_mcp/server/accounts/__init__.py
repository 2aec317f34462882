"""Find out who calls the server over HTTP, and whose KIE key pays for the call."""
