#!/usr/bin/env bash
# Runs the tests of the stores under ThreadSanitizer, in a build of its own (ten minutes or more the first time).
#
# ThreadSanitizer does not know Swift's Mutex on Linux and reports what is done under one. A report is a finding only if one of its
# two accesses is not in a lock's closure.
set -euo pipefail
cd "$(dirname "$0")/.."
build=.build-race
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
swift build --build-tests --sanitize=thread --scratch-path $build
TSAN_OPTIONS="exitcode=0 log_path=$reports/report history_size=4" SWIFT_BACKTRACE=enable=no timeout --signal=ABRT 15m \
    swift test --skip-build --disable-xctest --sanitize=thread --scratch-path $build \
    --experimental-maximum-parallelization-width 8 --filter "${1:-PostgresStoreTests|JSONLStoreTests|ListenerTests}"
python3 - "$reports" <<'CHECK'
import pathlib, re, sys

texts = [file.read_text() for file in pathlib.Path(sys.argv[1]).iterdir()]
reports = [part for text in texts for part in text.split("=" * 18) if "WARNING" in part]
findings = []
for report in reports:
    # The two accesses, each with its stack; what follows tells of memory and threads.
    stacks, current = [], None
    for line in report.splitlines():
        if re.match(r"  (Previous )?[\w ]*(access|read|write|Read|Write) of ", line):
            current = [line]
            stacks.append(current)
        elif re.match(r"  \w", line):
            current = None
        elif current is not None:
            current.append(line)
    # A closure that is given the lock's value: `(inout sending Value) throws -> Result`.
    if len(stacks) != 2 or not all("zYuYTXEfU" in line for line in ["".join(s) for s in stacks]):
        findings.append(report)
for finding in findings:
    print(finding)
print(f"{len(reports)} reports, {len(findings)} of them not under a lock")
sys.exit(1 if findings else 0)
CHECK
