# The one entry point for building and checking the project; `make help` lists
# the targets. Every loop goes over MODULES, which go.work alone decides.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A GOWORK of the caller's must not change what is built here.
export GOWORK := $(CURDIR)/go.work

# Programs that scripts/setup has unpacked serve where the machine has none.
ifneq ($(OS),Windows_NT)
export PATH := $(PATH):$(CURDIR)/.cache/bin
endif

MODULES = $(shell go list -m -f '{{.Dir}}')

# Modules whose tests run programs that neither Go nor npm brings, and those programs.
NEED_PROGRAMS = $(addprefix $(CURDIR)/,e2e reachfiveredis cmd/reachfive-gateway)
PROGRAMS = curl prometheus promtool redis-server redis-sentinel redis-cli chromium nginx caddy haproxy
ifeq ($(shell uname),Linux)
PROGRAMS += systemd-analyze
endif

# The newer of the two Go releases that are supported; go.work names the older.
GO_NEXT = go1.27.4
# What test-jwx3 moves to.
JWX3 = v3.3.0
# Other systems that the root module has to compile for.
PLATFORMS = windows/amd64 darwin/arm64 linux/386 js/wasm

# Statements that the tests of the root module must reach, in per cent of each
# of these packages.
COVER_MIN ?= 95
COVER_PACKAGES = . ./internal/keycache
# What release-check packs the modules as.
VERSION ?= v0.1.0
# How long each fuzz target runs.
FUZZTIME ?= 10s

# Scripts that drive a vendor's own code in Chromium: each prints its scenarios
# and fails if one does.
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
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

.PHONY: setup
setup: ## bring what the tests need and the machine lacks; installs nothing
	@scripts/setup cgo modules $(GO_NEXT) npm $(PROGRAMS) grpcurl ghz

# Its parts run one after the other, also under -j: each uses all cores.
.PHONY: test
test: setup ## test everything, on both supported Go releases
	@$(MAKE) --no-print-directory cover
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory test-next

# The root module is tested outside the workspace here: that is how a user
# builds it, and a requirement that only the workspace meets would be missed.
.PHONY: cover
cover: ## test the root module with GOWORK=off; fail below COVER_MIN per cent
	@echo "== $@: $$(GOWORK=off go list -m), GOWORK=off"
	@mkdir -p bin
	@packages=$$(GOWORK=off go list -e -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' $(COVER_PACKAGES)); \
		GOWORK=off go test -timeout 15m -coverprofile=bin/cover.out -coverpkg="$$(paste -s -d , - <<< "$$packages")" ./...; \
		for package in $$packages; do scripts/covered bin/cover.out "$$package" $(COVER_MIN); done

# One call for all modules, so that a package that waits leaves the processor
# to others. -count 1, because a result must not outlive a change of a script or
# a program that a test runs.
.PHONY: race
race: setup ## test every module with the race detector
	@echo "== $@: every module"
	@go test -race -count 1 -timeout 15m $(addsuffix /...,$(MODULES))

.PHONY: test-go
test-go: ## test, with the race detector, what needs nothing but Go and a C compiler
	@scripts/setup cgo modules curl grpcurl ghz
	@go test -race -count 1 -timeout 15m $(addsuffix /...,$(filter-out $(NEED_PROGRAMS),$(MODULES)))

.PHONY: test-next
test-next: ## test the root module on the newer supported Go release
	@scripts/setup $(GO_NEXT)
	@echo "== $@: $$(GOWORK=off go list -m), $(GO_NEXT)"
	@GOWORK=off GOTOOLCHAIN=$(GO_NEXT) go test -timeout 15m ./...

.PHONY: test-jwx3
test-jwx3: ## test a copy of the root module with the next major version of jwx
	scripts/jwx3 $(JWX3)

.PHONY: vet-platforms
vet-platforms: ## go vet of the root module for other systems and for 32 bits
	@for platform in $(PLATFORMS); do \
		echo "== $@: $$platform"; \
		GOWORK=off CGO_ENABLED=0 GOOS="$${platform%/*}" GOARCH="$${platform#*/}" go vet ./...; \
	done

.PHONY: lint
lint: bin/golangci-lint bin/gofumpt bin/actionlint ## check the formatting, every module and tools with golangci-lint, and .github
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0r bin/gofumpt -l); \
		if [ -n "$$unformatted" ]; then echo "not gofumpt-formatted:"; echo "$$unformatted"; exit 1; fi
	$(call each,$(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yml ./...)
	@echo "== $@: tools"
	@cd tools && GOWORK=off $(CURDIR)/bin/golangci-lint run --config $(CURDIR)/.golangci.yml ./...
	@echo "== $@: .github"
	@bin/actionlint
	@git ls-files --cached --others --exclude-standard '*go.mod' | while read -r file; do \
		dir=/$$(dirname "$$file"); \
		grep -qx "      - $${dir%/.}" .github/dependabot.yml || grep -qx "      - $${dir%.}" .github/dependabot.yml || \
			{ echo ".github/dependabot.yml lacks the module in $$dir"; exit 1; }; \
	done

.PHONY: fmt
fmt: bin/golangci-lint ## format every Go file and sort its imports
	$(call each,$(CURDIR)/bin/golangci-lint fmt --config $(CURDIR)/.golangci.yml ./...)

# The modules under tools are not in go.work: their hundreds of indirect
# requirements would take part in the choice of every version there.
.PHONY: tidy
tidy: ## go mod tidy in every module
	$(call each,GOWORK=off go mod tidy)
	@for dir in tools tools/actions tools/chaos tools/fortio tools/grpc tools/proxies/caddy tools/proxies/oauth2 tools/proxies/traefik; do echo "== $@: $$dir"; ( cd "$$dir" && GOWORK=off go mod tidy ); done
	@echo "== $@: go.work.sum"
	@for dir in $(MODULES); do ( cd "$$dir" && go list -deps -test ./... > /dev/null ); done

.PHONY: e2e
e2e: setup ## run the end-to-end tests alone, verbosely
	cd e2e && go test -count 1 -v -timeout 15m ./...
	@$(MAKE) --no-print-directory e2e-scripts

.PHONY: e2e-scripts
e2e-scripts: ## run the browser and node scripts of the end-to-end tests
	@scripts/setup modules npm chromium
	@for script in $(E2E_SCRIPTS); do echo "== $$script"; node "$$script"; done

.PHONY: demo-sdk
demo-sdk: ## sign in with ReachFive's own SDK, in a Chromium that trusts the demo's tenant
	@scripts/setup npm chromium
	node e2e/demo-sdk.mjs

.PHONY: demo-embedded
demo-embedded: ## serve examples/embedded with a tenant of its own
	@scripts/setup npm
	node e2e/embedded-bundle.mjs
	cd examples && go run ./embedded

.PHONY: screenshots
screenshots: ## take the documents' screenshots anew
	@scripts/setup npm chromium
	node e2e/embedreach.mjs --screenshot docs/embedded-ui.png
	node e2e/spa.mjs --screenshots docs

# The newest Caddy and Traefik, which no package of Debian has: their first build
# takes a quarter of an hour, so this is not part of make test.
.PHONY: e2e-proxies
e2e-proxies: ## the gateway's recipes in the newest Caddy and Traefik; the first run builds both
	@nice -n 19 scripts/setup modules npm chromium caddy-next traefik
	cd cmd/reachfive-gateway && CADDY_NEXT=$(CURDIR)/bin/caddy-next TRAEFIK=$(CURDIR)/bin/traefik \
		go test -tags proxies -run '^Test(TheNewestCaddy|Traefik)' -count 1 -v -timeout 10m ./internal/recipes

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

.PHONY: test-fleet
test-fleet: setup bin/toxiproxy ## faults of real Redis servers and networks, 100 verifiers, 500 readers, 1,000,000 sign-outs; 3 minutes
	cd reachfiveredis && TOXIPROXY=$(CURDIR)/bin/toxiproxy go test -tags fleet -run 'Fault|Failover|Slow|Million|FiveHundred|Process|Fleet' -parallel 8 -count 1 -v -timeout 15m .

.PHONY: release-check
release-check: ## pack the modules as VERSION and use them as a user does, from an empty folder
	GOWORK=off go run -C tools ./releasecheck -dir $(CURDIR) -version $(VERSION)

# Needs a quiet machine and takes about ten minutes. A part whose runs differ by
# more than 10 % is measured up to three times; if they still do, it is not
# written and the command fails. SECTIONS=verify,refusals runs only these parts.
.PHONY: bench
bench: ## compare Verify with other libraries; write docs/performance.md and its charts
	@case ",$(SECTIONS)," in ,, | *,gateway,*) scripts/setup nginx haproxy wrk oauth2-proxy fortio || echo "The gateway is compared with what is there." ;; esac
	PATH="$$PATH:$(CURDIR)/bin" GOWORK=off go run -C benchmarks . -write ../docs -only "$(SECTIONS)"

# Takes hours on two cores, and continues where it was interrupted.
# FILES=checks.go,token.go tries only the changes of these; SLOWEST=1s leaves out
# the tests that take longer, and TESTS=Nonce those of other names.
.PHONY: mutants
mutants: ## change the root module in one place at a time; list what no test notices
	GOWORK=off go test -C tools ./mutants
	GOWORK=off go run -C tools ./mutants -dir $(CURDIR) -files "$(FILES)" -slowest "$(or $(SLOWEST),0s)" -tests "$(TESTS)"

.PHONY: clean
clean: ## remove what make built and scripts/setup brought
	rm -rf bin .cache e2e/node_modules examples/embedded/bundle

# scripts/setup knows whether a tool is older than the go.mod that pins it.
.PHONY: FORCE
bin/%: FORCE
	@scripts/setup $*
