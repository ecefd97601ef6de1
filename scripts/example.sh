#!/usr/bin/env bash
# Builds the package in Examples/Dice, which uses Tau as a library as any other package would, and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build --package-path Examples/Dice --scratch-path .build-example
program=$(readlink -f .build-example/debug/Dice)
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
answer=$(cd "$directory" && "$program")
echo "$answer"
grep -q 'roll said: a [1-6], a [1-6]' <<<"$answer"
ls "$directory"/dice-data/sessions/*.jsonl >/dev/null
