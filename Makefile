# The one entry point for building and checking the project; `make help` lists
# the targets. Every loop goes over MODULES, which go.work alone decides.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A GOWORK of the caller's must not change what is built here.
export GOWORK := $(CURDIR)/go.work

MODULES = $(shell go list -m -f '{{.Dir}}')

# Statements of the root package that its tests must reach, in per cent.
COVER_MIN ?= 95
# What release-check packs the modules as.
VERSION ?= v0.1.0
# How long each fuzz target runs.
FUZZTIME ?= 10s

# npm writes this file last, so it dates the whole installation.
NODE_MODULES = e2e/node_modules/.package-lock.json

# Scripts that drive a vendor's own code: each prints its scenarios and fails
# if one does. They need Debian's chromium, or its path in CHROMIUM.
E2E_SCRIPTS = e2e/embedreach-tokens.mjs e2e/embedreach.mjs e2e/spa.mjs

# each runs its command in every module of go.work and names the module first.
define each
	@for dir in $(MODULES); do \
		echo "== $@: $$(GOWORK=off go -C "$$dir" list -m)"; \
		( cd "$$dir" && $(1) ); \
	done
endef

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

.PHONY: test
test: cover $(NODE_MODULES) bin/grpcurl bin/ghz ## test every module with the race detector, and the root on its own
	$(call each,go test -race -timeout 15m ./...)

# The root module is tested outside the workspace here: that is how a user
# builds it, and a requirement that only the workspace meets would be missed.
.PHONY: cover
cover: ## test the root module with GOWORK=off; fail below COVER_MIN per cent
	@echo "== $@: $$(GOWORK=off go list -m), GOWORK=off"
	@mkdir -p bin
	@GOWORK=off go test -timeout 15m -coverprofile=bin/cover.out ./...
	@grep -E "^mode:|^$$(GOWORK=off go list -m)/[^/]+:" bin/cover.out > bin/root.out
	@total=$$(GOWORK=off go tool cover -func=bin/root.out | awk '/^total:/ { sub("%", "", $$3); print $$3 }'); \
		echo "statements covered in the root package: $$total %, at least $(COVER_MIN) % wanted"; \
		awk -v got="$$total" -v want="$(COVER_MIN)" 'BEGIN { exit !(got + 0 >= want + 0) }'

.PHONY: lint
lint: bin/golangci-lint bin/gofumpt ## formatting, go vet and golangci-lint in every module
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0r bin/gofumpt -l); \
		if [ -n "$$unformatted" ]; then echo "not gofumpt-formatted:"; echo "$$unformatted"; exit 1; fi
	$(call each,$(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yml ./...)

.PHONY: fmt
fmt: bin/golangci-lint ## format every Go file and sort its imports
	$(call each,$(CURDIR)/bin/golangci-lint fmt --config $(CURDIR)/.golangci.yml ./...)

# What is under tools is no module of go.work: its hundreds of indirect
# requirements would take part in the choice of every version there. It is tidied
# all the same.
.PHONY: tidy
tidy: ## go mod tidy in every module
	$(call each,GOWORK=off go mod tidy)
	@for dir in tools tools/chaos tools/grpc; do echo "== $@: $$dir"; ( cd "$$dir" && GOWORK=off go mod tidy ); done
	@echo "== $@: go.work.sum"
	@for dir in $(MODULES); do ( cd "$$dir" && go list -deps -test ./... > /dev/null ); done

.PHONY: e2e
e2e: $(NODE_MODULES) ## the end-to-end tests alone, with what they say
	cd e2e && go test -count 1 -v -timeout 15m ./...
	@$(MAKE) --no-print-directory e2e-scripts

.PHONY: e2e-scripts
e2e-scripts: $(NODE_MODULES) ## the browser and node scripts of the end-to-end tests
	@for script in $(E2E_SCRIPTS); do echo "== $$script"; node "$$script"; done

.PHONY: demo-sdk
demo-sdk: $(NODE_MODULES) ## sign in with ReachFive's own SDK, in a Chromium that trusts the demo's tenant
	node e2e/demo-sdk.mjs

.PHONY: demo-embedded
demo-embedded: $(NODE_MODULES) ## serve examples/embedded with a tenant of its own
	node e2e/embedded-bundle.mjs
	cd examples && go run ./embedded

.PHONY: screenshots
screenshots: $(NODE_MODULES) ## take the documents' screenshots anew
	node e2e/embedreach.mjs --screenshot docs/embedded-ui.png
	node e2e/spa.mjs --screenshots docs

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	$(call each,for pkg in $$(go list ./...); do \
		for name in $$(go test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
			echo "$$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$$pkg"; \
		done; \
	done)

.PHONY: chaos
chaos: bin/toxiproxy ## the key cache behind the real toxiproxy, at most 90 s
	TOXIPROXY=$(CURDIR)/bin/toxiproxy GOWORK=off go test -tags chaos -run '^TestChaos$$' -count 1 -v -timeout 120s .

.PHONY: release-check
release-check: ## pack the modules as VERSION and use them as a user does, from an empty folder
	GOWORK=off go run -C tools ./releasecheck -dir $(CURDIR) -version $(VERSION)

# Wants a quiet machine, and takes some ten minutes.
# SECTIONS=verify,refusals runs a part of it.
.PHONY: bench
bench: ## time Verify beside its peers; write docs/performance.md and its charts
	GOWORK=off go run -C benchmarks . -write ../docs -only "$(SECTIONS)"

.PHONY: clean
clean: ## remove what make built
	rm -rf bin examples/embedded/bundle

$(NODE_MODULES): e2e/package.json e2e/package-lock.json
	cd e2e && npm ci --no-audit --no-fund
	@touch $@

# The tools are pinned by their go.mod and built again only when it changes.
bin/golangci-lint: tools/go.mod tools/go.sum
	GOWORK=off go build -C tools -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

bin/gofumpt: tools/go.mod tools/go.sum
	GOWORK=off go build -C tools -o $(CURDIR)/$@ mvdan.cc/gofumpt
	@touch $@

# toxiproxy has a module of its own, lest it choose versions for the linters.
bin/toxiproxy: tools/chaos/go.mod tools/chaos/go.sum
	GOWORK=off go build -C tools/chaos -o $(CURDIR)/$@ github.com/Shopify/toxiproxy/v2/cmd/server
	@touch $@

bin/grpcurl: tools/grpc/go.mod tools/grpc/go.sum
	GOWORK=off go build -C tools/grpc -o $(CURDIR)/$@ github.com/fullstorydev/grpcurl/cmd/grpcurl
	@touch $@

bin/ghz: tools/grpc/go.mod tools/grpc/go.sum
	GOWORK=off go build -C tools/grpc -o $(CURDIR)/$@ github.com/bojand/ghz/cmd/ghz
	@touch $@
