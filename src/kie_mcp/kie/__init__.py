"""KIE's HTTP API: except for the sandbox, only this package knows the API's requests and envelopes."""
