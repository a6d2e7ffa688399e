# The commands of the README. One build profile for everything, because RocksDB and libp2p take minutes to compile.

CARGO_FLAGS := --release --locked
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test bench sim forge fuzz chaos attack flips conform build install-needs

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

# A consortium in one thread for each of SEEDS seeds, or for one SEED again, with all faults or those that FAULTS names
# (tests/src/simulator/faults.rs); LIAR names a way in which a validator lies (tests/src/simulator/liars). A failure names
# its seed, the fewest faults that show it, and its last steps.
sim: install-needs
	SIM_SEEDS=$(or $(SEEDS),1000) $(if $(SEED),SIM_SEED=$(SEED)) $(if $(FAULTS),SIM_FAULTS=$(FAULTS)) \
		$(if $(LIAR),SIM_LIAR=$(LIAR)) \
		cargo test $(CARGO_FLAGS) --workspace --test simulation agreement -- --nocapture

# Forged proofs and crafted signatures in bulk, none of which may pass. COUNT says how many proofs.
forge: install-needs
	YILIAN_FORGERIES=$(or $(COUNT),100000000) cargo test $(CARGO_FLAGS) -p yilian-spec --test proof --test signature \
		-- --nocapture no_forged crafted

# One fuzz target (the list: tests/src/fuzz/mod.rs), guided by coverage for SECONDS; the state
# machine unless TARGET names another. What it finds stands in
# $(TARGET_DIR)/fuzz; inputs that reach new code are merged into tests/corpus with MERGE=1.
FUZZ_TARGET := $(or $(TARGET),machine)
FUZZ_FLAGS := -max_len=16384 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
fuzz: install-needs
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tests/coverage.sh cargo build $(CARGO_FLAGS) --workspace \
		--features yilian-tests/coverage-guided --bin yilian-fuzz
	mkdir -p $(TARGET_DIR)/fuzz/$(FUZZ_TARGET)
	YILIAN_FUZZ_TARGET=$(FUZZ_TARGET) $(TARGET_DIR)/release/yilian-fuzz $(FUZZ_FLAGS) \
		-artifact_prefix=$(TARGET_DIR)/fuzz/$(FUZZ_TARGET)- $(if $(MERGE),-merge=1 tests/corpus/$(FUZZ_TARGET) \
		$(TARGET_DIR)/fuzz/$(FUZZ_TARGET),-max_total_time=$(or $(SECONDS),60) \
		$(TARGET_DIR)/fuzz/$(FUZZ_TARGET) tests/corpus/$(FUZZ_TARGET))

# Nodes killed at random under load, for SECONDS, with SEED; every ledger is read afterwards. MISHAP=two-killed,cut-and-killed
# has only these happen; LOGS=DIRECTORY keeps the nodes' logs of what held things up for long.
chaos: build
	YILIAN_CHAOS_SECONDS=$(or $(SECONDS),600) YILIAN_CHAOS_SEED=$(or $(SEED),1) \
		$(if $(MISHAP),YILIAN_CHAOS_MISHAP=$(MISHAP)) $(if $(LOGS),YILIAN_CHAOS_LOGS=$(abspath $(LOGS))) \
		cargo test $(CARGO_FLAGS) --workspace --test faults nodes_killed_at_random -- --nocapture

# A peer with a member's keys that attacks the others for SECONDS, in turns with quiet, and what that does to their latency.
# NAME=forged-votes,slow-reads names the attacks (tests/src/attack/mod.rs lists them).
attack: build
	YILIAN_ATTACK=$(or $(NAME),forged-votes) YILIAN_ATTACK_SECONDS=$(or $(SECONDS),60) \
		cargo test $(CARGO_FLAGS) --workspace --test attacks one_attack_for_long -- --ignored --nocapture

# The description of the API, and a real node, against other people's tools: EXAMPLES requests of each operation and check.
# The first run installs the tools into $(TARGET_DIR)/conform (needs Python 3.10 or later and its package index).
CONFORM := $(abspath $(TARGET_DIR)/conform)
conform: build
	test -x $(CONFORM)/bin/schemathesis || (python3 -m venv $(CONFORM) && $(CONFORM)/bin/pip install --quiet \
		schemathesis==4.32.5 openapi-spec-validator==0.9.0 openapi-python-client==0.29.1)
	YILIAN_CONFORM=$(CONFORM)/bin YILIAN_CONFORM_EXAMPLES=$(or $(EXAMPLES),50) \
		cargo test $(CARGO_FLAGS) --workspace --test conform -- --ignored --nocapture

# Every byte of every file of a node, altered; takes an hour or more. FLIPS=N alters about N bytes of each file.
flips: build
	YILIAN_FLIPS=$(or $(FLIPS),all) \
		cargo test $(CARGO_FLAGS) --workspace --test corruption every_altered_byte -- --nocapture

build: install-needs
	@test -x $(TARGET_DIR)/release/yilian-node || \
		echo "Building the release binaries (the first time, RocksDB and libp2p take about 20 minutes on two cores)"
	@cargo build $(CARGO_FLAGS) --bins

install-needs:
	@bash .ci/install
