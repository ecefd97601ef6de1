#!/usr/bin/env bash
# Starts a server on a directory of its own, lets the agent use two tools, and shows the stream, the tree and the usage.
# Ends with 0 only if the answer came and was saved.
set -euo pipefail
tau=$(readlink -f "${1:-.build/release/tau}")
directory=$(mktemp -d)
cd "$directory"
"$tau" serve --port 0 >server.out 2>server.log &
server=$!
stop() {
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    rm -rf "$directory"
}
trap stop EXIT

# The server prints its address once it listens.
for _ in $(seq 300); do
    url=$(grep -m1 -o 'http://[0-9.]*:[0-9]*' server.out || true)
    [ -n "$url" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [ -z "$url" ]; then
    echo "tau demo: the server did not start" >&2
    cat server.log >&2
    exit 1
fi
TAU_API_KEY=$(cat data/admin.key)
export TAU_SERVER=$url TAU_API_KEY

echo "== The server listens on $url"
"$tau" version

echo
echo "== A message that makes the agent use two tools"
"$tau" run --name demo \
    'Use write with path=hello.txt, content="Hello from Tau". Use bash with command="echo The tools run as user $(id -u)".' |
    tee answer.txt
session=$("$tau" sessions list --json | grep -o '"id":"[^"]*"' | head -n 1 | cut -d'"' -f4)

echo
echo "== The session as a tree"
"$tau" sessions tree "$session"

echo
echo "== Its usage"
"$tau" sessions list --json | grep -o '"usage":{[^}]*}[^}]*}'

# What was answered must be what was saved, and the tools must have done what they said.
grep -q "The tools run as user 1000" answer.txt
saved=data/sessions/$session.jsonl
grep -q '"role":"toolResult","toolCallId":"[^"]*","toolName":"write"' "$saved"
grep -q '"role":"toolResult","toolCallId":"[^"]*","toolName":"bash"' "$saved"
[ "$(cat "data/workspaces/$session/hello.txt")" = "Hello from Tau" ]
tail -n 1 "$saved" | grep -q '"stopReason":"stop"'
echo
echo "== The answer came and was saved. Stopping the server."
