# Every task of the project. People and CI call the same targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SHELLFLAGS := -eu -c

# Nothing phones home.
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
# A Python that uv would fetch by itself is one that nobody chose.
export UV_PYTHON_DOWNLOADS := never

ONCE ?=
FULL ?=
K ?=
ARGS ?=
BASE ?=
CLUSTER ?=
export CLUSTER
PYTHON ?=
export PYTHON

PY := .venv/bin/python
UV_FOUND := $(shell uv --version >/dev/null 2>&1 && command -v uv)
UV := $(or $(UV_FOUND),.pdx/uv/bin/uv)
UV_OURS := $(if $(UV_FOUND),,$(UV))
NPM_FOUND := $(shell node --version >/dev/null 2>&1 && npm --version 2>/dev/null)
ENGINE := $(if $(NPM_FOUND),training/engine/node_modules/.package-lock.json)
ENVS := .venv/.ready .venv-serving/.ready

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(ENVS) ## Train on real duels, gate, package, serve and ask for a prediction; ONCE=1 stops after the answer
	@.venv/bin/pdx demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

.PHONY: train
train: $(ENVS) ## Train every candidate and take the best past the gate into a bento
	.venv/bin/pdx all

.PHONY: image
image: $(ENVS) $(ENGINE) tools ## Build the images of the champion, training and rollouts, or ONLY one; BASE=IMAGE, or local
	@base='$(BASE)' tool=; \
	if [ "$$base" = local ]; then base=$$($(PY) -m k8s.images.base) tool=buildah; fi; \
	for what in $(or $(ONLY),serving training rollout); do \
		.venv/bin/pdx image "$$what" $${base:+--base "$$base"} $${tool:+--tool "$$tool"} $(ARGS); \
	done

.PHONY: serve
serve: $(ENVS) ## Serve the champion on port 3000
	.venv/bin/pdx serve $(ARGS)

# Without K there is a process a core, and none has the use of more threads for a fit.
.PHONY: test
test: $(ENVS) $(ENGINE) ## Run the tests under the coverage floor; K='words' picks cases, without the floor
	@mkdir -p .pdx/coverage
	$(if $(K),,OMP_NUM_THREADS=1) .venv/bin/pytest -m 'not e2e' -rfEs $(if $(K),-k '$(K)',--cov --numprocesses=logical --maxprocesses=4 --dist=loadfile)

.PHONY: load
load: $(ENVS) ## Load a running server with Locust and judge it by the SLO; ARGS='--help' for the options
	.venv/bin/python -m loadtests $(ARGS)

.PHONY: bench
bench: $(ENVS) ## Measure this server beside its peers, each in an environment of its own; ARGS='--quick'
	.venv/bin/python -m loadtests.bench $(ARGS)

.PHONY: tools
tools: .venv/.ready ## Have helm, kubectl and promtool in .pdx/bin, built where this machine has none that fits
	@$(PY) -m k8s.local tools

.PHONY: cluster
cluster: .venv/.ready ## Bring up a Kubernetes to test on, or mend it; CLUSTER=current takes the one of the kubeconfig
	@$(PY) -m k8s.local up

.PHONY: cluster-down
cluster-down: .venv/.ready ## Take the cluster down and leave nothing behind
	@$(PY) -m k8s.local down

.PHONY: e2e
e2e: $(ENVS) $(ENGINE) tools ## Run the cases on the cluster; K='words' picks some, FULL=1 takes the long ones too
	PDX_E2E_FULL=$(FULL) .venv/bin/pytest -m e2e -rfEs $(if $(K),-k '$(K)')

.PHONY: lint
lint: .venv/.ready ## Check style, types, layers, locks and YAML
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) tools/lock.py --check
	$(PY) tools/protos.py --check
	$(PY) tools/settings_doc.py --check
	$(PY) tools/values_schema.py --check
	$(PY) tools/figures.py --check
	$(PY) tools/rollout_cases.py --check
	$(PY) -m monitoring.dashboards --check
	$(PY) -m monitoring.simulate --check
	.venv/bin/yamllint --strict .

.PHONY: fmt
fmt: .venv/.ready ## Mend what can be mended: format, import order, safe fixes
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

.PHONY: clean
clean: ## Remove environments, caches and .pdx, with the models and runs that are in it
	rm -rf .venv .venv-serving .pdx training/engine/node_modules
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find bentos k8s loadtests training tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# uv, where the machine has none.
.pdx/uv/bin/uv: requirements/uv.txt
	@python=$$(sh tools/find-python.sh --with-venv); \
	echo "Installing uv into .pdx/uv"; \
	"$$python" -m venv .pdx/uv; \
	.pdx/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# Everything, and the project itself in editable form, so that `pdx` is a command. sync needs no NCCL; install would.
.venv/.ready: requirements/dev.txt pyproject.toml | $(UV_OURS)
	@python=$$(sh tools/find-python.sh); \
	echo "Installing the training and development packages into .venv"; \
	$(UV) venv --quiet --allow-existing --python "$$python" .venv
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(PY) requirements/dev.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(PY) --editable .
	@touch $@

# The serving group and nothing else: what the container has. Compiled, since start-up time is measured.
.venv-serving/.ready: requirements/serving.txt | $(UV_OURS)
	@python=$$(sh tools/find-python.sh); \
	echo "Installing the serving packages into .venv-serving"; \
	$(UV) venv --quiet --allow-existing --python "$$python" .venv-serving
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python .venv-serving/bin/python requirements/serving.txt
	@touch $@

training/engine/node_modules/.package-lock.json: training/engine/package-lock.json training/engine/package.json
	cd training/engine && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
