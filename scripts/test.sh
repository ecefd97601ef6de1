#!/usr/bin/env bash
# Builds and runs all tests. Further arguments go to `swift test`, such as --filter.
set -euo pipefail
cd "$(dirname "$0")/.."
TAU_TEST_MODEL_DIR=$(scripts/local-model.sh)
TAU_TEST_SCHEMA_DIR=$(scripts/schema-suite.sh)
export TAU_TEST_MODEL_DIR TAU_TEST_SCHEMA_DIR
swift build --build-tests
# A crash of a test process must end it, not start a debugger that holds its pipes.
SWIFT_BACKTRACE=enable=no swift test --skip-build --disable-xctest "$@"
