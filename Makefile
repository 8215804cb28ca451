# Thin front to CMake; `make help` lists what there is.

JOBS ?= $(shell nproc)
# Warnings are errors where CI is set (as in CMakeLists.txt; here so that a build folder follows a change of it).
WERROR ?= $(if $(filter-out 0 false off no,$(CI)),ON,OFF)

FUZZ_SECONDS ?= 600

# $(call configure,PRESET,FOLDER): only where the folder is new, the presets changed, or WERROR did. Other changes ninja notices itself.
define configure
@if ! grep -qs '^FLANMOE_WERROR:BOOL=$(WERROR)$$' $(2)/CMakeCache.txt || ! [ $(2)/build.ninja -nt CMakePresets.json ]; then \
  cmake --preset $(1) -DFLANMOE_WERROR=$(WERROR); fi
endef

.PHONY: all test quickstart setup asan debug fuzz cuda format tidy clean help

all: setup  ## build/flanmoe (the default)
	$(call configure,release,build)
	@cmake --build build --target flanmoe -j $(JOBS)

test: all  ## build everything and run all tests
	@cmake --build build -j $(JOBS)
	@ctest --test-dir build --output-on-failure -j $(JOBS)

quickstart: all  ## run recipes/quickstart.toml; the report lands in runs/quickstart
	build/flanmoe run recipes/quickstart.toml --out runs/quickstart

setup:  ## Debian packages, libtorch and plotly.js; does nothing where they are present
	@tools/setup

asan: setup  ## build and test with address and undefined-behaviour sanitizers
	$(call configure,asan,build-asan)
	@cmake --build --preset asan -j $(JOBS)
	@ctest --preset asan -j $(JOBS)

debug: setup  ## an unoptimised build in build-debug
	$(call configure,debug,build-debug)
	@cmake --build --preset debug -j $(JOBS)

fuzz: setup  ## run every fuzz target of fuzz/ for FUZZ_SECONDS (600); needs clang
	$(call configure,fuzz,build-fuzz)
	@cmake --build --preset fuzz -j $(JOBS)
	@tools/fuzz --seconds $(FUZZ_SECONDS)

cuda: setup  ## compile the CUDA kernels, what calls them and their tests (needs nvcc, but no GPU)
	$(call configure,cuda,build-cuda)
	@cmake --build --preset cuda-objects -j $(JOBS)

sources = git ls-files -co --exclude-standard -- '*.h' '*.cpp' '*.cu' '*.cuh'

format:  ## clang-format over all sources
	@$(sources) | xargs -r clang-format -i

tidy: all  ## clang-tidy over src/ and apps/
	@git ls-files -co --exclude-standard -- 'src/*.cpp' 'apps/*.cpp' | grep -v '/ops/cuda/' | \
	  xargs -r -n 1 -P $(JOBS) clang-tidy -p build --quiet --extra-arg=-fno-openmp

clean:  ## remove the build folders (the cache of tools/setup stays)
	rm -rf build build-debug build-asan build-fuzz build-cuda

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
