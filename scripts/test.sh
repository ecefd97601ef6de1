#!/usr/bin/env bash
# Builds and runs all tests. Further arguments go to `swift test`, such as --filter.
set -euo pipefail
cd "$(dirname "$0")/.."
TAU_TEST_MODEL_DIR=$(scripts/local-model.sh)
TAU_TEST_SCHEMA_DIR=$(scripts/schema-suite.sh)
TAU_TEST_S3_DIR=$(scripts/s3-servers.sh)
TAU_TEST_TOOLS_DIR=$(scripts/test-tools.sh)
export TAU_TEST_MODEL_DIR TAU_TEST_SCHEMA_DIR TAU_TEST_S3_DIR TAU_TEST_TOOLS_DIR
swift build --build-tests
# Tests start in their turn, so that the time limit of one does not run while others have the processors.
# A crash of a test process must end it, not start a debugger that holds its pipes; and a run that hangs must end and say so.
minutes=$((30 * ${TAU_TORTURE:-1}))
run() {
    SWIFT_BACKTRACE=enable=no timeout --signal=ABRT --kill-after=10 "${minutes}m" \
        swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 12 "$@" || {
        code=$?
        [ $code -ne 124 ] || echo "tau: the tests did not end within $minutes minutes" >&2
        exit $code
    }
}
run "$@"
# Everything of the HTTP API once more, with servers that keep their sessions in PostgreSQL.
[ $# -gt 0 ] || TAU_TEST_STORE=postgres run \
    --filter '^EndToEndTests\.(SessionAPITests|RunAPITests|TreeAPITests|ApprovalAPITests|LifecycleTests)/'
