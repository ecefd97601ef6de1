# Everything that a checkout needs: `make run` and `make test` set up the rest themselves.
SWIFT ?= swift
TAU = .build/release/tau

.PHONY: run test race torture bench demo example format lint fuzz build dependencies clean

## Build and start the server on 127.0.0.1:8080 with ./data.
run: build
	$(TAU) serve

build: dependencies
	$(SWIFT) build -c release --product tau --static-swift-stdlib

## All tests: unit, HTTP, crash, real model server (where its packages can be had).
test:
	scripts/install-dependencies.sh tests
	scripts/test.sh

## The crash tests ten times as long: 5,000 kills, 10,000 power cuts.
torture:
	scripts/install-dependencies.sh tests
	TAU_TORTURE=10 scripts/test.sh --filter 'CrashTests|PowerCutTests'

## The tests of the stores under ThreadSanitizer, in a build of its own.
race:
	scripts/install-dependencies.sh tests
	scripts/race.sh

## Measure the figures of the README on this machine.
bench: build
	scripts/bench.sh $(TAU)

## Start a server, let the agent use two tools, show what came of it, stop the server.
demo: build
	scripts/demo.sh $(TAU)

## Fuzz what parses bytes from outside; FUZZ_SECONDS each (default 20).
fuzz:
	Fuzz/run.sh $${FUZZ_SECONDS:-20}

## Build and run a package of its own that uses Tau as a library.
example: dependencies
	scripts/example.sh

format:
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests Fuzz Examples

lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests Fuzz Examples

dependencies:
	scripts/install-dependencies.sh

clean:
	rm -rf .build .build-*
