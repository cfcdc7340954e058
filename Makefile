# "make help" lists the targets. Two commands matter: "make demo" shows a failover, "make test" runs every test.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.NOTPARALLEL:
.PHONY: build demo test check test-unit test-simulation test-netns test-matrix build-simulation simulate chaos loss-matrix failover-matrix failovers port-dialogue fuzz policy-oracle fidelity test-table-full kernel-filter bench bench-growth clean help
.DEFAULT_GOAL := build

tools := node_modules/.bin

## build: compile the sources and the native addon; leaves a working bin/ctsync
build: node_modules/.package-lock.json
	@$(tools)/tsc -p tsconfig.json
	node scripts/build-native.mjs
	# what was compiled from a source that is gone would still be found and run as a test
	find dist -name '*.js' | while read -r file; do
		source=src/$${file#dist/}
		[ -e "$${source%.js}.ts" ] || rm -f "$$file" "$$file.map"
	done

# No package needs its install script here, so none is run.
node_modules/.package-lock.json: package-lock.json
	@npm ci --ignore-scripts
	touch $@

## demo: install what is missing, build, and show a failover between two firewalls (root; under a minute)
demo:
	@scripts/setup.sh demo
	$(MAKE) --no-print-directory build
	test/demo/demo.sh

## test: install what is missing, build, and run every test; the last line counts them
test:
	@totals=$$(mktemp -d)
	trap 'rm -rf "$$totals"' EXIT
	make="$(MAKE) --no-print-directory"
	mkdir -p build
	if ! scripts/setup.sh test || ! $$make build; then
		echo "0 passed, 1 failed" | tee build/test-summary
		exit 1
	fi
	passed=0 failed=0 skipped=0 parts=
	$$make check || failed=1 parts=" check"
	for kind in unit simulation netns; do
		$$make test-$$kind TOTALS="$$totals/$$kind" || true
		if ! read -r p f s <"$$totals/$$kind"; then p=0 f=1 s=0; fi
		[ $$f -eq 0 ] || parts+=" test-$$kind"
		passed=$$((passed + p)) failed=$$((failed + f)) skipped=$$((skipped + s))
	done
	echo
	[ -z "$$parts" ] || echo "failed:$$parts (make TARGET runs one of them)"
	[ $$skipped -eq 0 ] && skips= || skips=", $$skipped skipped"
	echo "$$passed passed, $$failed failed$$skips" | tee build/test-summary
	[ $$failed -eq 0 ]

## check: formatting, lint, types, and which folder may import which
check:
	@$(tools)/biome check .
	$(tools)/tsc -p tsconfig.json --noEmit
	if [ -f dist/imports.test.js ]; then node --test dist/imports.test.js; fi

# TOTALS=FILE receives "PASSED FAILED SKIPPED".
## test-unit: the tests beside the sources
test-unit:
	@mapfile -t files < <(find dist -name '*.test.js' | sort)
	[ $${#files[@]} -gt 0 ] || { echo "no unit tests: run 'make build' first"; exit 1; }
	tap=$$(mktemp)
	trap 'rm -f "$$tap"' EXIT
	status=0
	node --test --test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter=tap --test-reporter-destination="$$tap" "$${files[@]}" || status=$$?
	if [ -n "$(TOTALS)" ]; then
		awk '/^# (pass|fail|cancelled|skipped) / { n[$$2] = $$3 }
			END { if ("pass" in n) print n["pass"], n["fail"] + n["cancelled"], n["skipped"] }' "$$tap" >"$(TOTALS)"
	fi
	exit $$status

## test-simulation: some schedules of the replication under a virtual clock, and the named scenarios
test-simulation: build-simulation
	@[ -z "$(TOTALS)" ] || : >"$(TOTALS)"
	node $(simulator) --scenarios --quick --jobs 2 $(if $(TOTALS),--totals "$(TOTALS)")

## test-netns: the tests on real kernel tables, in network namespaces (root, else skipped)
test-netns:
	@NETNS_TOTALS="$(TOTALS)" test/netns/run.sh

simulator := build/simulation/test/simulation/main.js

build-simulation: node_modules/.package-lock.json
	@$(tools)/tsc -p test/simulation/tsconfig.json

## simulate: many schedules of the whole replication under a virtual clock, then mutants of it (SEEDS=100000; an hour or two)
simulate: build-simulation
	@nice -n 5 node $(simulator) --scenarios --seeds $(or $(SEEDS),100000) --jobs 2
	nice -n 5 node $(simulator) --mutants --seeds 10000 --jobs 2

## fuzz: generated and mutated input for every parser (COUNT=100000 for each, JOBS=2; COUNT=full: 26 million, half an hour)
fuzz: build
	@node test/fuzz/fuzz.mjs --target $(or $(TARGET),all) --count $(or $(COUNT),100000) --jobs $(or $(JOBS),2)

## policy-oracle: generated expectations against a second opinion on the expectation policy (COUNT=1000000 SEED=...; a minute or two)
policy-oracle: build
	@node test/policy/main.mjs $(or $(COUNT),1000000) $(SEED)

## chaos: rounds of faults on a running pair with live flows (ROUNDS=200 SEED=1 CHAOS=--sealed; root, half an hour)
chaos: build
	@test/chaos/chaos.sh $(CHAOS) $(or $(ROUNDS),200) $(or $(SEED),1)

## loss-matrix: time to equality by loss, beside conntrackd (LOSS="0 20"; root, some minutes)
loss-matrix: build
	@test/chaos/loss-matrix.sh $(LOSS)

## failovers: 500 live connections failed over and back, a hundred times (FAILOVERS=100 SEED=1; root, half an hour)
failovers: build
	@test/endurance/failovers.sh $(ENDURANCE) $(or $(FAILOVERS),100) $(or $(SEED),1)

## port-dialogue: FTP dialogues behind SNAT failed over at random instants (FAILOVERS=500 SEED=1; root, some minutes)
port-dialogue: build
	@test/endurance/dialogue.sh $(ENDURANCE) $(or $(FAILOVERS),500) $(or $(SEED),1)

## test-table-full: a commit into a table with room for 60 per cent; sets nf_conntrack_max of the machine for seconds (ENTRIES=20000; root)
test-table-full: build
	@test/netns/table-full.sh $(or $(ENTRIES),20000)

## failover-matrix: conversations through every helper with a failover in the middle, by NAT, beside conntrackd (MATRIX="--loss 20"; root)
failover-matrix: build
	@test/netns/failover-matrix.sh $(MATRIX)

## fidelity: a mixed table before and after a failover, field by field, beside conntrackd (COUNT=10000; root, two minutes)
fidelity: build
	@test/fidelity/fidelity.sh $(or $(COUNT),10000)

## test-matrix: FTP and TCP failed over in every mode over every link, a line each (CELLS="NOTRACK:* *:tcp6"; root, some minutes)
test-matrix: build
	@set -f
	test/netns/matrix.sh $(CELLS)

## kernel-filter: verdicts of the event socket's program against the filter, on this kernel's events (COUNT=1000000 SEED=1; root)
kernel-filter: build
	@KERNEL_FILTER_FLOWS=$(or $(COUNT),1000000) KERNEL_FILTER_SEED=$(or $(SEED),1) node --test --test-reporter=spec dist/filter/kernel-filter.test.js

# ROWS, REPEAT, SCALE, VARIANTS, OTHER, SCHEDULER: test/bench/main.mjs says what they are
## bench: ctsync beside conntrackd and the kernel's floor, as a table (ROWS="rate commit" REPEAT=5; root, an hour or two)
bench: build
	@export ROWS="$(ROWS)" REPEAT="$(REPEAT)" SCALE="$(SCALE)" VARIANTS="$(VARIANTS)" OTHER="$(OTHER)" SCHEDULER="$(SCHEDULER)"
	node test/bench/main.mjs

## bench-growth: how CPU, memory, commit and convergence grow with entries and rate (SIZES="10k 5M" RATES="1k storm" REPEAT=1; root, an hour)
bench-growth: build
	@export SIZES="$(SIZES)" RATES="$(RATES)" REPEAT="$(or $(REPEAT),1)" VARIANTS="$(VARIANTS)" OTHER="$(OTHER)" SCHEDULER="$(SCHEDULER)"
	node test/bench/growth.mjs

## clean: remove what "make build" has made
clean:
	@rm -rf dist build

## help: this list
help:
	@sed -n 's/^## \([^:]*\): /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20
