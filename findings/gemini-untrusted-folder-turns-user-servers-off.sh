#!/bin/sh
# @google/gemini-cli 0.61.0: an MCP server of the user's own settings does not start in a folder that is not trusted.
#
# Trust in a folder is about what the folder brings: its settings, its servers. ~/.gemini/settings.json is the user's own
# file, so one would expect its servers everywhere. In a folder that the user has not trusted yet, such as every new one,
# `gemini mcp list` shows them as disabled, and no process is started; the warning says why. With the folder in
# ~/.gemini/trustedFolders.json the same server is connected. What installs a server has to tell its users.
#
# Prints how the server is listed in either folder; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --no-audit --no-fund --loglevel=error \
    @google/gemini-cli@0.61.0 @modelcontextprotocol/server-everything@2026.1.26 >&2
mkdir -p "$folder/home/.gemini" "$folder/new" "$folder/trusted"
cat >"$folder/home/.gemini/settings.json" <<JSON
{"mcpServers": {"everything": {"command": "$folder/node_modules/.bin/mcp-server-everything", "args": ["stdio"]}}}
JSON
printf '{"%s": "TRUST_FOLDER"}' "$folder/trusted" >"$folder/home/.gemini/trustedFolders.json"
for place in new trusted; do
    (cd "$folder/$place" && HOME="$folder/home" "$folder/node_modules/.bin/gemini" mcp list </dev/null) \
        >"$folder/log" 2>&1 || cat "$folder/log" >&2
    state=$(sed -n 's/.*everything: .* - \([A-Za-z]*\).*/\1/p' "$folder/log")
    echo "$place: $state"
done >"$folder/seen"
cat "$folder/seen"
printf 'new: Disabled\ntrusted: Connected\n' >"$folder/expected"
cmp "$folder/seen" "$folder/expected"
