#!/usr/bin/env bash
# Prepares what judges Tau from outside, from PyPI, for the tests: schemathesis (the API against its document), rotel and oteltap
# (receivers of traces). Prints the directory that holds them.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=.build-tools
if [ ! -e "$directory/ready" ]; then
    rm -rf "$directory"
    mkdir -p "$directory"
    {
        python3 -m venv "$directory/venv" &&
            "$directory/venv/bin/pip" install --quiet schemathesis rotel oteltap
    } >"$directory/install.log" 2>&1 || {
        echo "tau: the tools of the tests cannot be installed here; see $directory/install.log" >&2
        exit 1
    }
    touch "$directory/ready"
fi
echo "$PWD/$directory"
