# What people type. Everything is built with the Go toolchain alone; only `conformance` and `e2e` need root and Debian 12.

BIN     := bin/labctl
GO      ?= go
# The tags are those of Pulumi's own releases: no cgo for user look-ups, no gRPC tracing.
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -tags osusergo,grpcnotrace -ldflags '-s -w'

# Tools, run at the version that stands here; go.mod stays free of what they need.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# How long each fuzz target runs.
FUZZTIME ?= 5s

.PHONY: build demo up test lint vuln fuzz bench conformance e2e e2e-full test-slow cross clean

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

## test: all fast tests, with the race detector
test:
	$(GO) vet -race ./...
	$(GO) test -race -timeout 15m ./...

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

## test-slow: every command of every exercise, every fault against every check, on a simulated lab
test-slow:
	$(GO) test -tags slow -run 'TestExercises|TestCompare|TestMatrix' -count 1 -timeout 20m ./cmd/labctl

## cross: labctl for the other systems it runs on
cross:
	for os in darwin windows; do GOOS=$$os CGO_ENABLED=0 $(GO) build -trimpath -tags osusergo,grpcnotrace -o /dev/null ./cmd/labctl || exit 1; done

## bench: build, then ratios measured in one run: no-op up and verify, 3 and 50 simulated nodes
bench: build
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m ./cmd/labctl

clean:
	rm -rf bin
