# `make run` and `make test` are the whole set-up on a fresh Debian or Ubuntu machine with a Rust toolchain.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One folder of compiled dependencies for every checkout of this user, CI's fresh clone included.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/switchboard/target
.PHONY: help run demo sandbox test test-rust bench bench-jobs chaos mutants format lint fmt contract release-contract sdk audit setup

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

run: ## start the server on 127.0.0.1:8080, with SQLite and nothing else to install
	cargo run --quiet -- serve

demo: ## start server and sandbox, seed a shop, play a day of conversations
	cargo run --quiet -- demo

sandbox: ## play the messengers and the language model on loopback
	cargo run --quiet -- sandbox

setup: ## install what the tests need and is missing
	@scripts/setup

test: setup lint contract test-rust ## everything: format, clippy, contract, unit and integration tests

test-rust:
	@scripts/test --workspace

fmt: ## format the code
	cargo fmt --all

format: ## is the code formatted
	cargo fmt --all --check

lint: format ## clippy, warnings denied
	cargo clippy --workspace --all-targets --quiet -- -D warnings

contract: setup ## lint the protos; refuse what breaks the released contract
	@scripts/contract

release-contract: setup ## freeze the contract as it is now: later changes must be compatible with it
	@scripts/contract freeze

sdk: setup ## generate the TypeScript client into sdk/
	PATH=$$PWD/tests/clients/.venv/bin:$$PATH tests/clients/node_modules/.bin/buf generate

bench: setup ## print figures, each beside its ceiling
	cargo bench --bench load

bench-jobs: setup ## print figures of background jobs beside those of BullMQ
	PATH=$$PWD/tests/clients/.venv/bin:$$PATH npm --prefix benches/jobs/bullmq ci --silent --ignore-scripts
	PATH=$$PWD/tests/clients/.venv/bin:$$PATH cargo bench --bench jobs

SEED ?= 9
SECONDS ?= 60
chaos: setup ## break real processes for SECONDS in the order of SEED; nothing may be lost or happen twice
	@CHAOS_SEED=$(SEED) CHAOS_SECONDS=$(SECONDS) cargo test --quiet --test chaos

mutants: setup ## leave out one mechanism after the other: each time the chaos must notice
	@scripts/mutants

audit: ## licences, bans and sources of every dependency
	scripts/audit
