# Every target is one script, or one line.
.DEFAULT_GOAL := help
.PHONY: help demo test test-console test-cluster test-trixie test-upgrade chaos fuzz bench bench-scale bench-peers services services-stop schema man fmt

help: ## Lists these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: ## Shows it at work, from nothing to an imported repository (URL=... for one of yours, KEEP=1 to go on looking)
	@scripts/demo

test: ## Runs every check, as CI does
	@scripts/test

test-console: ## Tries the operators' desk in a real browser, against RabbitMQ's console
	@scripts/test-console

fuzz: ## Looks for input that breaks us (MINUTES=10 in all, TARGET=... for one)
	@scripts/fuzz

chaos: ## Breaks everything for a while, and sees that nothing is lost (MINUTES=5 SEED=...)
	@MINUTES='$(MINUTES)' SEED='$(SEED)' scripts/chaos

test-cluster: ## Kills nodes of a RabbitMQ cluster, and promotes a PostgreSQL standby
	@scripts/test-cluster

test-trixie: ## Runs every test against RabbitMQ 4.0 and PostgreSQL 17, from a Debian trixie in .tools (as root)
	@scripts/test-trixie

test-upgrade: ## Runs this release beside the one before, through a migration
	@scripts/test-upgrade

bench: ## Measures it beside what this machine can do, into target/bench.json (SCENARIOS=..., RUNS=...)
	@scripts/bench

bench-scale: ## Measures it with up to 10^7 imports and 2,000 machines; two hours and 20 GB (SCENARIOS=...)
	@scripts/bench-scale

bench-peers: ## Measures other job queues beside it, into target/bench-peers.json (PEERS=..., RUNS=...)
	@scripts/bench-peers

services: ## Starts the private PostgreSQL and RabbitMQ, and prints how to reach them
	@scripts/services start

services-stop: ## Stops them
	@scripts/services stop

schema: ## Writes src/store/schema.rs anew from the migrations
	@scripts/schema

man: ## Writes the manual pages into target/man
	@cargo run --quiet -- man target/man

fmt: ## Formats the code
	@cargo fmt
