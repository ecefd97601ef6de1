#!/usr/bin/env bash
# Fuzzes what reads bytes from outside with libFuzzer: Fuzz/run.sh [seconds for each target]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
out=.build-fuzz
mkdir -p "$out"
# A crash must end the fuzzer, not start a debugger that holds its pipes.
export SWIFT_BACKTRACE=enable=no
flags=(-sanitize=fuzzer,address -O -wmo -parse-as-library -swift-version 6 -I "$out"
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature InternalImportsByDefault -package-name tau)

compile() { swiftc "${flags[@]}" "$@" 2> >(grep -v 'Cannot export local symbol' >&2); }

# The modules are instrumented, too, so that the fuzzer sees their branches. What measures and traces needs packages, and reads nothing.
module() {
    mapfile -t sources < <(find "Sources/$1" -name '*.swift' ! -path '*/Telemetry/*' | sort)
    compile -emit-module -emit-module-path "$out/$1.swiftmodule" -emit-object -module-name "$1" "${sources[@]}" \
        -o "$out/$1.o"
}

# fuzz NAME [further sources]
fuzz() {
    local name=$1 corpus=$out/corpus-$1
    shift
    mkdir -p "$corpus"
    compile -module-name "$name" "Fuzz/$name.swift" "$@" "$out/TauCore.o" "$out/TauWire.o" -o "$out/$name"
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
    SessionFileFuzzer)
        for file in "$data"/pi/*.jsonl; do head -n 8 "$file" | cut -c 1-800 >"$2/$(basename "$file")"; done ;;
    JSONFuzzer) cp "$data"/pi/golden/*.json "$2" ;;
    EventStreamFuzzer)
        for file in "$data"/llm/*stream.raw; do head -c 4096 "$file" >"$2/$(basename "$file")"; done ;;
    ModelAnswerFuzzer)
        # The first byte chooses the dialect: even for Chat Completions, odd for Messages.
        for file in "$data"/llm/chat-*stream.raw; do
            { printf '0' && sed '1,/^\r$/d' "$file" | grep -a '^data\|^\r\?$' | head -c 6000 || true; } >"$2/$(basename "$file")"
        done
        for file in "$data"/llm/messages-*stream.raw; do
            { printf '1' && sed '1,/^\r$/d' "$file" | grep -a '^data\|^event\|^\r\?$' | head -c 6000 || true; } >"$2/$(basename "$file")"
        done ;;
    esac
    chmod -R u+w "$2"
}

module TauCore
module TauWire
fuzz SessionFileFuzzer
fuzz JSONFuzzer
fuzz EventStreamFuzzer
providers=Sources/TauProviders
fuzz ModelAnswerFuzzer "$providers"/HTTP/{AnswerDecoder,ErrorAnswer,ContextOverflow}.swift \
    "$providers"/OpenAI/Chat{Answer,ToolCalls,Request,Compatibility}.swift "$providers"/Catalog/ProvidersConfiguration.swift \
    "$providers"/Catalog/ModelTier.swift \
    "$providers"/Anthropic/Messages{Answer,Request}.swift "$providers"/Transcript/*.swift
fuzz RedisReplyFuzzer Sources/TauRedis/Redis{Reply,Configuration}.swift
