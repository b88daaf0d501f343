# What people type. Everything is built with the Go toolchain alone; only `conformance` and `e2e` need root and Debian 12.

BIN     := bin/labctl
GO      ?= go
# The tags are those of Pulumi's own releases: no cgo for user look-ups, no gRPC tracing.
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -tags osusergo,grpcnotrace -ldflags '-s -w'

# The tests that have a row for each way in which something goes wrong, and a table of them.
FAULTS  := TestKilledAnywhere|TestEveryCallFails|TestNetworkMisbehaves

# Tools, run at the version that stands here; go.mod stays free of what they need.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# How long each fuzz target runs.
FUZZTIME ?= 5s

.PHONY: build demo up test faults faults-all lint vuln fuzz bench conformance e2e e2e-full test-slow cross clean

## build: bin/labctl, one static binary
build:
	$(BUILD) -o $(BIN) ./cmd/labctl

## demo: build, then up and verify on a simulated VirtualBox; needs no root, no VirtualBox
demo: build
	$(BIN) --simulate up
	$(BIN) --simulate verify

## up: build, then the same on the real VirtualBox
up: build
	$(BIN) up
	$(BIN) verify

## test: all fast tests, with the race detector; what is killed in them is the program without it
test: build
	$(GO) vet -race ./...
	LABCTL_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -race -parallel 4 -timeout 25m ./...

## faults: how labctl dies, how VirtualBox fails and how the network misbehaves, each with what comes of it, as tables
faults: build
	@tables=$$(mktemp -d) && trap 'rm -rf "$$tables"' EXIT && \
	LABCTL_TEST_BINARY=$(CURDIR)/$(BIN) LABCTL_TABLES=$$tables $(GO) test -count=1 -timeout $(or $(TIMEOUT),25m) -parallel 4 \
		-run '$(FAULTS)' ./cmd/labctl && \
	for table in kills calls network; do echo; cat $$tables/$$table.txt; done

## faults-all: the same, killed at every step of every command, which takes an hour
faults-all:
	LABCTL_KILLS=all $(MAKE) faults TIMEOUT=3h

## lint: what .golangci.yml looks for; the first run builds the linter (two minutes on two processors)
lint:
	$(GO) run $(GOLANGCI_LINT) run ./...

## vuln: known vulnerabilities in what labctl calls; "not run", with the reason, where their database does not answer
vuln:
	.ci/vuln.sh

## fuzz: every fuzz target for FUZZTIME (5s)
fuzz:
	.ci/fuzz.sh $(FUZZTIME)

## conformance: the same script against the real VBoxManage and the simulated one (root, Debian 12)
conformance:
	.ci/conformance.sh

## e2e: labctl on machines that really boot: the real VBoxManage, and QEMU in the hypervisor's place (root, Debian 12)
e2e:
	.ci/e2e.sh

## e2e-full: the same, and what goes wrong around it
e2e-full:
	LABCTL_E2E_FULL=1 .ci/e2e.sh

## test-slow: every command of every exercise, every fault against every check, on a simulated lab; each without the race detector
test-slow:
	$(GO) test -tags slow -run 'TestExercises|TestCompare|TestMatrix|TestStates' -count 1 -parallel 4 -timeout 20m ./cmd/labctl ./internal/sim

## cross: labctl for the other systems it runs on
cross:
	for os in darwin windows; do GOOS=$$os CGO_ENABLED=0 $(GO) build -trimpath -tags osusergo,grpcnotrace -o /dev/null ./cmd/labctl || exit 1; done

## bench: build, then ratios measured in one run: no-op up and verify, 3 and 50 simulated nodes
bench: build
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m ./cmd/labctl

clean:
	rm -rf bin
