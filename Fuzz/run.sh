#!/usr/bin/env bash
# Fuzzes what reads bytes from outside with libFuzzer: Fuzz/run.sh [seconds for each target]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
out=.build-fuzz
mkdir -p "$out"
# A crash must end the fuzzer, not start a debugger that holds its pipes.
export SWIFT_BACKTRACE=enable=no
features=(-swift-version 6 -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature InternalImportsByDefault)

fuzz() {
    local name=$1 module=$2
    local corpus=$out/corpus-$name
    mkdir -p "$corpus"
    # The module's own sources are compiled together with the target, so that the fuzzer sees their branches.
    mapfile -t sources < <(find "Sources/$module" -name '*.swift' | sort)
    swiftc -sanitize=fuzzer,address -O -parse-as-library "${features[@]}" -module-name "Fuzz$name" \
        "${sources[@]}" "Fuzz/$name.swift" -o "$out/$name" 2> >(grep -v 'Cannot export local symbol' >&2)
    seed "$name" "$corpus"
    echo "== $name: $seconds s"
    if ! "$out/$name" -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=2048 -timeout=10 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$out/$name-" "$corpus" >"$out/$name.log" 2>&1; then
        cat "$out/$name.log"
        return 1
    fi
    grep -E 'number_of_executed_units' "$out/$name.log"
}

# Real inputs to start from, where there are any.
seed() {
    local data=../shared/data
    case $1 in
    SessionFileFuzzer) for file in "$data"/pi/*.jsonl; do head -n 8 "$file" | cut -c 1-800 >"$2/$(basename "$file")"; done ;;
    JSONFuzzer) cp "$data"/pi/golden/*.json "$2" ;;
    EventStreamFuzzer) for file in "$data"/llm/*stream.raw; do head -c 4096 "$file" >"$2/$(basename "$file")"; done ;;
    esac
    chmod -R u+w "$2"
}

fuzz SessionFileFuzzer TauCore
fuzz JSONFuzzer TauCore
fuzz EventStreamFuzzer TauWire
