"""KIE's HTTP API; only this package and the sandbox know the API's paths, request bodies and answers."""
