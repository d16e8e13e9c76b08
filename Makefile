# make run     builds everything, starts the server on http://127.0.0.1:8080
# make test    runs everything that CI runs
# make soak    does the server harm for SECONDS, and says what it survived
.DEFAULT_GOAL := help
.PHONY: help run build scenes test soak audit fmt deps

LISTEN ?= 127.0.0.1:8080
SECONDS ?= 120
SCENES := target/scenes
SCENECAST := target/release/scenecast

help:
	@echo "make run      build scenes and server, start it on http://$(LISTEN)"
	@echo "make test     everything that CI runs, with a verdict at the end"
	@echo "make soak     a fault every few seconds for $(SECONDS) s; another time with SECONDS=3600"
	@echo "make build    the server only: $(SCENECAST)"
	@echo "make scenes   the scenes only: $(SCENES)/*.wasm"
	@echo "make audit    licences, bans and sources of all dependencies (needs cargo-deny)"
	@echo "make fmt      format the Rust code"

run: build scenes
	@exec $(SCENECAST) serve --listen $(LISTEN) --scenes $(SCENES)

# The whole workspace: cargo chooses the features of a dependency by what is built, so a part of it would be compiled once more by the tests.
build: deps
	@cargo build --release --locked --workspace

scenes: build
	@target/release/scene-builder --out $(SCENES)

test:
	@tools/install-deps test
	@tests/run

soak: scenes
	@target/release/soak --seconds $(SECONDS) --json

audit:
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	@for workspace in . guest-scenes fuzz; do \
		cargo deny --manifest-path $$workspace/Cargo.toml --config deny.toml check licenses bans sources || exit 1; done
	@cargo deny check advisories || echo "The advisories could not be checked, or there are some: see above."

fmt:
	@cargo fmt --all
	@cargo fmt --all --manifest-path guest-scenes/Cargo.toml

deps:
	@tools/install-deps run
