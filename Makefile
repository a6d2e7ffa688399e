# The commands of the README. One build profile for everything, because RocksDB and libp2p take minutes to compile.

CARGO_FLAGS := --release --locked
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test bench forge build install-needs

# A consortium of four validators and an observer on this machine, a day of its work, and proofs checked offline.
# KEEP=1 leaves it running until Ctrl-C.
demo: build
	@$(TARGET_DIR)/release/yilian-node demo $(if $(KEEP),--keep)

# All tests of the workspace.
test: build
	cargo test $(CARGO_FLAGS) --workspace

# Throughput, latency and their floor on this machine. JSON=FILE writes the figures for programs.
bench: build
	@$(TARGET_DIR)/release/yilian-bench $(if $(JSON),--json $(JSON)) $(BENCH_FLAGS)

# Forged proofs and crafted signatures in bulk, none of which may pass. COUNT says how many proofs.
forge: install-needs
	YILIAN_FORGERIES=$(or $(COUNT),100000000) cargo test $(CARGO_FLAGS) -p yilian-spec --test proof --test signature \
		-- --nocapture no_forged crafted

build: install-needs
	@echo "Building the release binaries (the first time, RocksDB and libp2p take 20 to 40 minutes on two cores)"
	@cargo build $(CARGO_FLAGS) --bins

install-needs:
	@bash .ci/install
