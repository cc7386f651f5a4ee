# Every target does its own set-up in .venv; nothing else is touched. `make help` lists them.
PYTHON ?= python3
# Tests start hundreds of processes: each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
STACK ?= muster
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo demo-rollout test check docs cloud strict bench-aggregation bench-precision bench-attacks bench-judging bench-cost bench-fleet bench-console bench-day bench-rollouts bench-trouble bench-flower-app flower flower-vectors stores wheel package e2e e2e-console deploy destroy clean e2e-all browser

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Train a model on 32 devices through the whole cloud, on this machine (ARGS=--url …: in a deployed one; ARGS=--console: watch it)
	$(BIN)/python -m examples.digits $(ARGS)

demo-rollout: $(READY) ## Roll three versions out to 600 devices on this machine: a good one, a spoilt one, and there and back
	$(BIN)/python -m examples.rollouts $(ARGS)

test: $(READY) ## Run the tests
	$(BIN)/pytest

check: $(READY) ## Lint, types, import contracts, and whether the made documents are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

bench-aggregation: $(READY) ## Measure the aggregation beside Flower and NVFLARE
	$(BIN)/python -m bench.aggregation

bench-precision: $(READY) ## Measure how often a mean is what exact arithmetic would make of it
	$(BIN)/python -m bench.precision

bench-attacks: $(READY) ## Train under attack, with each defence, and print a table
	$(BIN)/python -m bench.attacks

bench-judging: $(READY) ## Simulate judges who lie, and how judges are drawn, and print tables
	$(BIN)/python -m bench.judging

bench-cost: $(READY) ## Count every call of some rounds, and print what they cost in AWS
	$(BIN)/python -m bench.cost

bench-fleet: $(READY) ## Count what a fleet asks of AWS: each call, each place in a round, all looks; and hold it against the quotas
	$(BIN)/python -m bench.fleet $(ARGS)

bench-console: $(READY) ## Time an update of each page of the console, with 20 models and 100,000 clients, and print tables (some minutes)
	$(BIN)/python -m bench.console $(ARGS)

bench-day: $(READY) ## Live through days of a million devices, in virtual time, see who trains, and print tables (half an hour)
	$(BIN)/python -m bench.fleet.simulation $(ARGS)
	$(BIN)/python -m bench.fleet.fairness

bench-rollouts: $(READY) ## Simulate rollouts whose guard looks on every tick, and print tables
	$(BIN)/python -m bench.rollouts $(ARGS)

bench-trouble: $(READY) ## Let a thousand devices live through outages, in virtual time, and print what they send
	$(BIN)/python -m bench.trouble

bench-flower-app: $(READY) ## Run three examples here and in Flower, and print both curves and times (ARGS='--turns 3 tabular')
	$(BIN)/python -m bench.flower_app $(ARGS)

flower: $(READY) ## Run Flower apps, killed at every step, on the oldest and the newest flwr that is taken (ARGS='--only newest')
	$(BIN)/python -m tests.flower $(ARGS)

flower-vectors: $(READY) ## Compute anew, with Flower, the vectors that the tests compare with
	"$$($(BIN)/python -c 'from bench.aggregation.__main__ import environment; print(environment("flwr"))')" \
	  bench/aggregation/flower_vectors.py tests/aggregation/flower_vectors.json

stores: $(READY) ## Hold the stores that the tests stand on against moto and DynamoDB Local, and print what holds where (needs Java)
	$(BIN)/python -m tests.stores

wheel: $(READY) ## Make what devices and operators install, and the server for muster simulate, in build/wheel
	rm -rf build/wheel build/lib
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(BIN)/python -m infra.bundle build/server
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel build/server

package: $(READY) ## Make what AWS gets, for both architectures, in build/package
	$(BIN)/python -m infra.package

E2E := tests/e2e/story.py tests/e2e/python_page.py tests/e2e/demo.py tests/e2e/rollout_demo.py tests/e2e/packages.py

e2e: $(READY) ## Deploy the package to the strict cloud, train there, roll back, take it down; run the demos, and follow docs/python.md
	$(BIN)/pytest $(E2E) --dist loadfile -v

e2e-console: $(READY) browser ## Open the console in a browser, beside a local cloud; pictures in build/console
	$(BIN)/pytest tests/e2e/console.py -n 0 -v

e2e-all: $(READY) browser ## Both, side by side
	$(BIN)/pytest $(E2E) tests/e2e/console.py --dist loadfile -v

browser: $(READY) ## Install chromium, if it is missing (as root), and what drives it
	test -x "$${MUSTER_CHROMIUM:-/usr/bin/chromium}" || { apt-get update && apt-get install -y chromium; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement tests/e2e/console-requirements.txt

deploy: $(READY) ## Deploy to AWS, after asking: make deploy STACK=muster ARGS='--profile … --parameter Name=Value'
	$(BIN)/python -m infra.deploy $(STACK) $(ARGS)

destroy: $(READY) ## Take a deployment down, after asking; its data stays (ARGS=--with-data: not)
	$(BIN)/python -m infra.destroy $(STACK) $(ARGS)

docs: $(READY) ## Write the documents that are made from the code
	$(BIN)/python docs/generate.py

cloud: $(READY) ## Run the local cloud until Ctrl-C
	$(BIN)/python -m infra.local

strict: $(READY) ## Run the strict cloud until Ctrl-C: an emulator of AWS to deploy to
	$(BIN)/python -m infra.strict

clean: ## Remove everything that was made, .venv included
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Muster needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip==26.2.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch,operator,console]' --group dev
	@touch $@
