# The developer's verbs; `make help` lists them. Each sets up what it needs first, which takes a moment once it is there.

BIN := .venv/bin
PACKAGES := common topology policies controller verification emulation lab scenarios cli
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help setup ready ready-dev ready-fuzz ready-guest ready-ryu ready-bench scenario scenarios test test-all test-exhaustive \
	test-unit test-emulated test-wheel test-again test-kills conformance fuzz test-kernel test-ryu lint bench mutants clean

ifeq ($(filter scenario,$(MAKECMDGOALS))$(NAME),scenario)
$(error NAME is missing (hint: make scenario NAME=region-failover; `make scenarios` lists them))
endif

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ready ## Set up what running needs: system packages (apt), .venv, the C extensions; the other verbs do it by themselves
	@echo "helsewan is set up; next: make scenario NAME=region-failover"

ready:
	@tools/setup

ready-dev:
	@tools/setup dev

ready-fuzz:
	@tools/setup fuzz

ready-guest:
	@tools/setup guest

ready-ryu:
	@tools/setup ryu

# Only the benchmark of repairs compares with others' routers.
ready-bench:
	@tools/setup dev $(if $(filter repair,$(or $(ARGS),repair)),ryu rivals)

scenario: ready ## Run one: make scenario NAME=region-failover [SITES=500] [SEED=7] [SET="key=value key=value"] [DATAPLANE=kernel]
	@tools/privileged $(BIN)/helsewan scenario run $(NAME) \
		$(if $(SITES),--sites $(SITES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(DATAPLANE),--dataplane $(DATAPLANE)) $(foreach pair,$(SET),--set '$(pair)') \
	|| { code=$$?; echo "helsewan: exit code $$code (0 pass, 1 a check failed, 2 bad input, 3 void, 70 internal error, 77 missing privilege)" >&2; exit $$code; }

scenarios: ready ## List the scenarios
	@$(BIN)/helsewan scenario list

test: ready-fuzz ## Run the tests but the exhaustive ones; the emulated ones need root or sudo (ARGS="-k name -x" goes to pytest)
	@tools/test $(ARGS)

test-all: ready-fuzz ## Run all tests, the exhaustive ones too
	@tools/test --all $(ARGS)

test-exhaustive: ready-fuzz ## Run the exhaustive tests only, and those with routers once more with private ones
	@tools/test --exhaustive $(ARGS)

test-again: ready-fuzz ## Run once more, one after the other, what failed the last time
	@tools/test --again $(ARGS)

test-unit: ready-fuzz ## Run the tests that need no privileges
	@$(BIN)/python -m pytest -n 2 -m "not emulated and not exhaustive" $(ARGS)

test-emulated: ready-dev ## Run the tests on real namespaces, Open vSwitch and packets, one after the other
	@tools/privileged $(BIN)/python -m pytest -m emulated $(ARGS)

test-wheel: ready-dev ## Build sdist and wheel, install the wheel into an empty virtual environment and run a scenario with it
	@tools/privileged tools/try-wheel

conformance: ready-dev ## Hold the backends of the link model to one table (ARGS="--backend live" for one of them)
	@tools/privileged $(BIN)/python -m pytest tests/conformance $(ARGS)

fuzz: ready-fuzz ## Fuzz the engines under sanitizers: make fuzz [SECONDS=600] [SEED=7]
	@$(BIN)/python tests/fuzz/fuzzing.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

mutants: ready ## Try the verifier on faulty rules and policies (ARGS="--number 500 --seed 2" goes to helsewan mutate)
	@$(BIN)/helsewan mutate $(or $(ARGS),--from tests/samples/three-routers.yaml)

test-kills: ready-dev ## Kill any process of a run at any of 50 moments (KILLS=n), and see that nothing is left
	@HELSEWAN_KILLS=$(or $(KILLS),50) tools/privileged $(BIN)/python -m pytest -n 2 tests/emulated/test_kills.py $(ARGS)

test-kernel: ready-guest ## Run the kernel backend's tests in a virtual machine with Debian's stock kernel (ARGS goes to pytest)
	@GUEST_LIMIT_S=1800 tools/guest .venv/bin/python -m pytest -p no:cacheprovider $(or $(ARGS),tests/kernel)

# Tests in which the framework runs, in the test's process or in the controller's.
OF_FRAMEWORK = $(shell grep -lE 'controller_(world|process)|controller\.framework|openflow\.encoder|import (framework|encoder)' \
	tests/unit/*/test_*.py tests/emulated/test_*.py)

test-ryu: ready-ryu ## Run the controller's tests, emulated ones too, under Ryu 4.34 in os-ken's place (ARGS goes to pytest)
	@HELSEWAN_FRAMEWORK="Ryu 4.34" tools/privileged .venv-ryu/bin/python -m pytest $(or $(ARGS),-n 2 --dist loadfile $(OF_FRAMEWORK))

lint: ready-dev ## Check style (ruff) and types (mypy --strict)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --config-file tests/mypy.ini
	@$(BIN)/mypy --config-file tests/mypy.ini benchmarks

bench: ready-bench ## Measure what the project promises (ARGS="name …" for some of it) and print it beside the target
	@tools/privileged $(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove what setup, tests and tools made (results/ stays)
	rm -rf .venv .venv-ryu .guest build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(PACKAGES) -name '*.so' -delete
	find $(PACKAGES) tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
