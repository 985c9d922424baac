# Every target sets up what it needs in $(VENV): nothing but Python 3.11+ and make has to be there.

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
N8N_SCRIPTS ?= ../shared/n8n
INSTALL = $(PIP) install --require-hashes

.PHONY: setup demo test test-n8n test-wheel test-chaos test-pythons simulate check soak docs dist pins clean
.PHONY: bench bench-check bench-where bench-growth bench-n8n

setup: $(VENV)/.runtime

$(VENV)/.venv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.venv requirements/runtime.txt requirements/build.txt pyproject.toml
	$(INSTALL) -r requirements/runtime.txt -r requirements/build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.dev requirements/docs.txt
	$(INSTALL) -r requirements/docs.txt
	@touch $@

demo: setup  ## run a Code node's file over items, through broker, WebSocket and a process of its own
	$(BIN)/n8n-runner run docs/examples/invoices.py --items docs/examples/invoices.json --path

test: $(VENV)/.dev
	$(BIN)/python -X dev -m pytest

test-n8n: $(VENV)/.dev  ## against a real n8n, which the scripts in $(N8N_SCRIPTS) install and start
	bash $(N8N_SCRIPTS)/setup.sh
	N8N_SCRIPTS=$(N8N_SCRIPTS) $(BIN)/python -m pytest -s tests/n8n

test-wheel: $(VENV)/.dev  ## the built wheel and sdist in fresh environments of every Python, with pipx and uvx
	$(BIN)/python -m pytest tests/wheel

test-chaos: $(VENV)/.dev  ## the real process under faults of the network and of the machine; takes a minute
	$(BIN)/python -X dev -m pytest tests/chaos

test-pythons:  ## the tests on every supported Python that this machine has
	@tested=""; for python in python3.11 python3.12 python3.13 $(HOME)/.pyenv/versions/3.1[1-3].*/bin/python; do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
		case "$$tested " in *" $$version "*) continue;; esac; \
		tested="$$tested $$version"; \
		echo "Python $$version"; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

simulate: $(VENV)/.dev  ## SEED=n [HOURS=n] [STORY=1] runs a seed again; HOURS=n [JOBS=n] fresh seeds; FLEET=1 fleets
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(HOURS),--hours $(HOURS)) \
		$(if $(JOBS),--jobs $(JOBS)) $(if $(STORY),--story) $(if $(FLEET),--fleet)

check: $(VENV)/.dev
	$(BIN)/ruff format --check . docs/examples/library
	$(BIN)/ruff check . docs/examples/library
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.dev  ## every figure that is claimed, beside the machine's limits; JSON=file keeps them. Some minutes
	N8N_SCRIPTS=$(N8N_SCRIPTS) $(BIN)/python -m tests.bench.execution $(if $(JSON),--json $(JSON))

bench-check: $(VENV)/.dev  ## what a task costs, compared with tests/bench/baseline.json; RENEW=1 writes that anew
	$(BIN)/python -m tests.bench.check $(if $(RENEW),--renew)

bench-where: $(VENV)/.dev  ## where the microseconds of a tiny task go; needs Linux's perf. JSON=file keeps them
	$(BIN)/python -m tests.bench.where $(if $(JSON),--json $(JSON))

bench-growth: $(VENV)/.dev  ## how cost grows with concurrency, bytes and items; JSON=file keeps the curves. Some minutes
	$(BIN)/python -m tests.bench.growth $(if $(JSON),--json $(JSON))

bench-n8n: $(VENV)/.dev  ## what a Code node costs in a real n8n, which is installed if it is not there
	bash $(N8N_SCRIPTS)/setup.sh
	N8N_SCRIPTS=$(N8N_SCRIPTS) $(BIN)/python -m tests.bench.execution --only n8n

MINUTES ?= 60

soak: $(VENV)/.dev  ## a mix of tasks, and a fault every 20 to 60 s, for MINUTES; fails if anything unexpected comes up
	$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES)

docs: $(VENV)/.docs  ## all pages anew (-a): Sphinx does not see that what a page includes, or a template, has changed
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -a -n -W -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

dist: $(VENV)/.runtime  ## the wheel and the source distribution, in dist/
	$(BIN)/python -m hatchling build

pins: $(VENV)/.venv  ## choose the versions in requirements/ afresh
	$(PIP) install uv
	$(BIN)/uv pip compile -q --upgrade $(UV_FLAGS) pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --upgrade $(UV_FLAGS) --group build -c requirements/runtime.txt -o requirements/build.txt
	$(BIN)/uv pip compile -q --upgrade $(UV_FLAGS) --group dev -c requirements/runtime.txt -c requirements/build.txt -o requirements/dev.txt
	$(BIN)/uv pip compile -q --upgrade $(UV_FLAGS) --group docs -c requirements/runtime.txt -c requirements/dev.txt -o requirements/docs.txt

UV_FLAGS = --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:
	rm -rf .venv .venv-* docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
