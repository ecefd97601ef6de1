#!/usr/bin/env bash
# Fetches the official JSON-Schema-Test-Suite, which the sources of the Python package jsonschema bring along.
# Prints the directory of draft 2020-12; prints nothing and succeeds where it cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=.build-schema
if [ ! -e "$directory/ready" ]; then
    rm -rf "$directory"
    mkdir -p "$directory"
    {
        python3 -m venv "$directory/venv" &&
            "$directory/venv/bin/pip" download --quiet --no-deps --no-binary jsonschema jsonschema==4.26.0 -d "$directory" &&
            tar xzf "$directory"/jsonschema-*.tar.gz -C "$directory" --strip-components=1 --wildcards '*/json/tests/*'
    } >"$directory/install.log" 2>&1 || {
        echo "tau: the JSON-Schema-Test-Suite cannot be fetched here; see $directory/install.log" >&2
        exit 0
    }
    touch "$directory/ready"
fi
echo "$PWD/$directory/json/tests/draft2020-12"
