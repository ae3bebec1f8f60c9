# What people type. Each installs what it needs on Debian, with sudo where that is needed.
.PHONY: build demo test soak soak-fuzz sanitize bench-peers lint dependencies dependencies-test messages commands clean \
  standalone install package tarball check-cluster check-watching interop

PACKAGES = libopenblas-dev libzmq3-dev libprotobuf-c-dev protobuf-c-compiler libjpeg-dev libpng-dev libwebp-dev libxxhash-dev libsodium-dev
# Of the tests alone: a client in another language joins a run, and a run is in bf16.
TEST_PACKAGES = libdnnl-dev python3-zmq python3-protobuf protobuf-compiler python3-xxhash
SUDO = $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

# What 'massl --version' says of the build; empty outside of a clone.
export MASSL_COMMIT := $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null)

build: dependencies
	swift build -c release

# Pictures, training, and how good the features are before and after: see README.md. SEED=1 for another draw.
SEED = 0
demo: build
	Scripts/demo $(SEED)

# One configuration for everything: in debug the numerics are some fifty times slower. Tests that other tests would
# disturb, or that would disturb others, come by themselves.
test: dependencies-test
	swift test -c release --disable-testable-imports
	MASSL_ALONE=1 swift test -c release --disable-testable-imports --no-parallel \
	  --filter 'whatShortConnectionsLeft|askersThatDoNotRead|aThousandWorkersJoinIdleDieAndComeBack'

# The page of real runs in Chromium: true figures, restarts, contrast, a million steps. Screenshots: .build/watching.
check-watching: build
	Scripts/check-watching

# What the tests do for seconds, for longer: so many simulated schedules, real runs until so many processes were
# killed, foreign bytes for every reader, and with MINUTES=30 more of each until that time is over. The counts are in its
# last lines; a failure prints the command that repeats it.
SEEDS = 20000
KILLS = 100
FUZZ_INPUTS = 1000000
# Others than the last time: SEED_FIRST=20000 FUZZ_FIRST=1000000.
SEED_FIRST = 0
FUZZ_FIRST = 0
MINUTES = 0
SOAK = MINUTES=$(MINUTES) SEEDS=$(SEEDS) KILLS=$(KILLS) FUZZ_INPUTS=$(FUZZ_INPUTS) \
  SEED_FIRST=$(SEED_FIRST) FUZZ_FIRST=$(FUZZ_FIRST) Scripts/soak
soak: dependencies-test
	$(SOAK) schedules kills inputs

soak-fuzz: dependencies
	$(SOAK) inputs

# The tests under the address and the thread sanitizer; SANITIZE_FILTER=WireTests for some of them.
SANITIZE_FILTER = .
sanitize: dependencies-test
	Scripts/sanitize address '$(SANITIZE_FILTER)'
	Scripts/sanitize thread '$(SANITIZE_FILTER)'

# What Benchmarks/compare measures massl beside: PyTorch and timm, in .venv-bench.
bench-peers:
	python3 -m venv .venv-bench
	.venv-bench/bin/pip install --quiet torch==2.8.0 timm==1.0.31

# Evaluations beside scikit-learn's and the published protocols in NumPy, weights beside timm and transformers, graphs in
# onnxruntime, in .venv-interop.
interop: build
	python3 -m venv .venv-interop
	.venv-interop/bin/pip install --quiet numpy==2.4.6 scikit-learn==1.9.1 safetensors==0.8.0 \
	  torch==2.8.0 timm==1.0.31 transformers==5.24.0 onnx==1.23.2 onnxruntime==1.32.0
	.venv-interop/bin/python Scripts/interop

lint:
	swift format lint --strict --recursive Sources Tests Fuzz Package.swift
	Scripts/generate-messages --check

messages:
	Scripts/generate-messages

# docs/commands.md and docs/massl.1, from what the commands say of themselves.
commands: dependencies
	MASSL_WRITE_DOCS=1 swift test -c release --disable-testable-imports --filter CommandReferenceTests

# The program with Swift's runtime inside, for machines without Swift.
STANDALONE = .build/package/massl
standalone: build
	Scripts/link-standalone $(STANDALONE)

# Program, manual page, completions, recipes and systemd units. DESTDIR=FOLDER puts them below a folder.
PREFIX = /usr/local
DESTDIR =
install: standalone
	Scripts/install $(STANDALONE) $(PREFIX) $(DESTDIR)

# A Debian package of the same, and a tarball that brings its libraries along. The last line is the file's path.
package: PACKAGES += dpkg-dev
package: standalone
	@Scripts/package $(STANDALONE)

tarball: build
	@Scripts/tarball

# Every way to launch massl that is under Cluster/, tried for real; needs root. FULL=1 for what takes long.
check-cluster: build
	Scripts/check-cluster

dependencies-test: PACKAGES += $(TEST_PACKAGES)
dependencies dependencies-test:
	@missing=; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "Installing$$missing"; \
	  $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -q -y --no-install-recommends $$missing; \
	fi

clean:
	swift package clean
