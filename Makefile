# Short names for what one types often; `make help` lists them. The extension is built in place.
PYTHON ?= python
TESTS ?= tests
CLANG_FORMAT ?= clang-format
BUILD = $(PYTHON) setup.py -q build_ext --inplace
C_FILES = $(shell find csrc benchmarks -name '*.[ch]')

.PHONY: help build debug asan fuzz test bench ladders golden docs notebooks lint clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## the extension, optimised, in place
	$(BUILD)

debug: ## the same with -O0 -g and assertions
	ZEROSHOT_DEBUG=1 $(BUILD)

test: build ## the whole suite; TESTS=tests/ops for a part
	$(PYTHON) -m pytest $(TESTS)

# Python itself is not instrumented: the runtime is preloaded, and leaks are looked for elsewhere
# (tests/leaks). -s, since a report is written while a test's output is captured. The suite's results
# are what counts; the next `make build` compiles what this one replaced.
asan: ## the whole suite under AddressSanitizer and UndefinedBehaviorSanitizer
	ZEROSHOT_SANITIZE=address,undefined $(BUILD)
	PYTHONMALLOC=malloc LD_PRELOAD="$$($${CC:-gcc} -print-file-name=libasan.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	$(PYTHON) -m pytest -s -p no:cacheprovider -o timeout=3000 $(TESTS)

fuzz: ## the parsers of all spaces under libFuzzer, 10 million inputs each; about an hour
	$(PYTHON) tests/fuzz/run.py

bench: build ## zeroshot against PyTorch; about 40 minutes, see benchmarks/README.md
	$(PYTHON) benchmarks/bench_scores.py

# From the objects of the build; `build/ladders/NAME full avx512` gives the rates that count.
ladders: build ## the C programs of benchmarks/kernels: checks, and rates in short
	mkdir -p build/ladders
	cd build/temp.*-$$($(PYTHON) -c 'import sys; print(sys.implementation.cache_tag)')/csrc && \
	objects=$$(find "$$PWD/cpu" "$$PWD/core/arena.o" -name '*.o') && cd "$(CURDIR)" && \
	for source in benchmarks/kernels/*.c; do \
	    made=build/ladders/$$(basename $$source .c); \
	    $${CC:-cc} -std=gnu11 -O3 -Icsrc $$source $$objects -lm -o $$made && $$made quick || exit 1; \
	done

golden: ## recompute the stored networks and compare (--write replaces them)
	$(PYTHON) tests/golden/make_golden.py

docs: build ## the site, in build/docs; warnings are errors
	$(PYTHON) -m sphinx -q -W --keep-going -n docs build/docs

notebooks: build ## run the notebooks and store what they show; minutes each
	cd notebooks && $(PYTHON) -m jupyter execute --inplace *.ipynb

lint: ## layout, style and types, as CI checks them
	$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict zeroshot

clean: ## everything that was built
	rm -rf build dist *.egg-info zeroshot/*.so
