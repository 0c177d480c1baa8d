# `make demo` and `make test` do all their set-up themselves; `make help` lists the rest.

.DEFAULT_GOAL := help
SETUPS := page up dev tests
.PHONY: help setup $(SETUPS:%=setup-%) demo up prefect deploy worker test test-all faults check lint audit sbom clean distclean

PYTHON := .venv/bin/python
WORKER := warm-process
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
unexport PYTHONDONTWRITEBYTECODE # else each start compiles all modules anew

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | expand -t 12

setup: ## Tesseract, Java, the locked Python environment; more for setup-page, setup-up, setup-dev, setup-tests
	@deployments/setup.sh

$(SETUPS:%=setup-%): setup-%:
	@deployments/setup.sh $*

demo: setup demo/pictures ## count the words of the sample pictures; results and mails in demo/
	@INKTALLY_STORE=demo/store INKTALLY_NOTIFIER=folder INKTALLY_MAIL_FOLDER=demo/mail \
		$(PYTHON) -m flows.ocr_flow demo/pictures --to you@example.com

demo/pictures: deployments/samples.py | setup
	@rm -rf $@ $@.part && $(PYTHON) -m deployments.samples $@.part >/dev/null && mv $@.part $@

up: setup-up ## everything on this machine, until Ctrl-C: Prefect, a store that rings, workers, Spark, mails (docs/running.md)
	@exec $(PYTHON) -m deployments.up $(if $(UP),"$(UP)") $(if $(STORE),--store $(STORE)) --worker $(WORKER)

prefect: setup ## a Prefect server alone, whose secret only you can read; `make deploy worker` in another terminal
	@exec $(PYTHON) -m deployments.up.prefect

deploy: setup ## make the work pool and the deployments on the Prefect server that PREFECT_API_URL names
	@.venv/bin/prefect work-pool inspect inktally >/dev/null 2>&1 || .venv/bin/prefect work-pool create inktally --type $(WORKER)
	@.venv/bin/prefect --no-prompt deploy --all

worker: setup ## run what the deployment is asked for; Prefect's own worker with WORKER=process
	@.venv/bin/prefect worker start --pool inktally --type $(WORKER)

test: setup-tests ## every behaviour once, on real servers and tools, in ten minutes; then its slowest tests
	@$(PYTHON) -m pytest -m "not long" --durations=20

test-all: setup-tests ## every test: kills, `make up`, clusters, short benchmarks, load and fuzzing besides
	@EXAMPLES=200 $(PYTHON) -m pytest --durations=20

faults: setup-tests ## damaged pictures for a minute; then break everything while pictures come in; verdict in the last line
	@$(PYTHON) -m tests.faults.fuzz --seconds 60
	@WORKER=$(WORKER) $(PYTHON) -m tests.faults

check: lint ## style, types, imports and unit tests, in seconds
	@$(PYTHON) -m pytest -q tests/unit

lint: setup-dev ## style, types and imports
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-logo

audit: ## known vulnerabilities of the packages in uv.lock; ends with an error where no advisory database can be reached
	@deployments/setup.sh uv
	@deployments/audit.sh

sbom: ## what an installation holds, with hashes, as CycloneDX: build/sbom.json
	@deployments/setup.sh uv
	@mkdir -p build && .venv-tools/bin/uv export --quiet --locked --all-extras --no-dev --preview-features sbom-export \
		--format cyclonedx1.5 --output-file build/sbom.json >/dev/null && echo build/sbom.json

clean: ## remove the demo's files and all caches
	@rm -rf demo build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find * -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the Python environments too
	@rm -rf .venv .venv-tools
