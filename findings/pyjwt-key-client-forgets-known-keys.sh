#!/bin/sh
# PyJWT 2.15.1: while the provider's address of keys is down, `PyJWKClient` refuses keys that it has just used.
#
# Its cache of the key set lasts 300 s, and a failed fetch deliberately leaves the cache as it is. One would expect that
# an outage is then survived with the keys that are known, as caches of this kind do. But the set counts for nothing once
# its time is over: the next lookup of a known key id fetches, fails, and raises `PyJWKClientConnectionError`, and so does
# each lookup until the provider is back. Every valid token is refused, each after a wait of up to 30 s, one after the
# other, because the client holds a lock meanwhile. `cache_keys=True` helps, but keeps keys for ever that the provider has
# withdrawn.
#
# Prints what a lookup of a known key gives before and after the outage; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pyjwt[crypto]==2.15.1'
cat >"$folder/probe.py" <<'PY'
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
KEYS = json.dumps({"keys": [{**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "one", "use": "sig"}]}).encode()


class Keys(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(KEYS)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Keys)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = jwt.PyJWKClient(f"http://127.0.0.1:{server.server_port}/keys", lifespan=1)


def look_up():
    try:
        return client.get_signing_key("one").key_id
    except jwt.PyJWKClientError as error:
        return type(error).__name__


seen = {"provider is there": look_up()}
server.shutdown()
server.server_close()
seen["provider is down, set is fresh"] = look_up()
time.sleep(1.1)
seen["provider is down, set is 1.1 s old of 1 s"] = look_up()
print("pyjwt", jwt.__version__)
for when, what in seen.items():
    print(f"{when}: {what}")
assert list(seen.values()) == ["one", "one", "PyJWKClientConnectionError"], "this has changed"
PY
"$folder/venv/bin/python" "$folder/probe.py"
