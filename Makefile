# make train | test | wheel: each sets up what it needs in .venv, once.
PYTHON ?= python3
# The CPU build; another version may bring several gigabytes of CUDA packages.
TORCH ?= torch==2.13.0
PRESET ?= tiny
RUN ?= runs/$(PRESET)
JOBS ?= $(shell nproc)

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# Python compiles what is imported, and most of what is installed never is.
INSTALL := $(PIP) install --no-compile
NATIVE := $(shell find csrc -name '*.cc' -o -name '*.h' -o -name CMakeLists.txt) CMakeLists.txt pyproject.toml
PACKAGE := $(shell find vista_fast kernels -name '*.so' -prune -o -type f -not -path '*/__pycache__/*' -print)
CPP_TESTS := $(shell find tests/cpp -type f)
CMAKE := $(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(BIN)/ninja -DVISTA_TESTS=ON -DVISTA_PYTHON=OFF -DVISTA_WERROR=ON
# Several sources at once, where most of the work is their headers.
IN_GROUPS := -DCMAKE_UNITY_BUILD=ON

# Builds share what they compile alike: with the same compiler, by name, and flags, in whatever folder.
export CXX
export CMAKE_CXX_COMPILER_LAUNCHER = $(shell command -v ccache)
export CCACHE_DIR := $(CURDIR)/build/ccache
export CCACHE_NOHASHDIR := 1
export CCACHE_IGNOREOPTIONS := -Werror
# The package is built with the cmake of the tests, because another one orders the flags otherwise. Where warnings are no
# errors nothing is stored: the tests would take it, and miss the warning.
CMAKE_BIN = $(shell $(BIN)/python -c 'import cmake; print(cmake.CMAKE_BIN_DIR)' 2>/dev/null)
BUILD = PATH="$(addsuffix :,$(CMAKE_BIN))$$PATH" CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) \
  $(if $(WARNINGS),,CCACHE_READONLY=1)

.PHONY: train test lint types cpp-test cuda-compile sanitizers python-test python-test-models python-test-others dali-test python-asan editable-test fuzz fuzz-short wheel wheel-test clean
.DEFAULT_GOAL := train

$(VENV)/.system: scripts/system_packages.sh
	PYTHON=$(PYTHON) scripts/system_packages.sh
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=24'
	touch $@

# The dependencies of the package itself, apart from the package: they change with pyproject.toml alone.
$(VENV)/.train-extra: $(VENV)/.system pyproject.toml
	$(INSTALL) '$(TORCH)'
	$(BIN)/python scripts/extra_requirements.py train > $@.txt
	$(INSTALL) -r $@.txt
	touch $@

$(VENV)/.dev-extra: $(VENV)/.train-extra pyproject.toml
	scripts/system_packages.sh tests
	$(BIN)/python scripts/extra_requirements.py dev > $@.txt
	$(INSTALL) -r $@.txt
	touch $@

$(VENV)/.package: $(VENV)/.train-extra $(NATIVE) $(PACKAGE) README.md
	$(BUILD) $(INSTALL) --no-deps --force-reinstall $(WARNINGS) .
	touch $@

train: $(VENV)/.package
	$(BIN)/vista-fast train --preset $(PRESET) --run $(RUN) --resume

# Warnings are errors in the tests alone: who builds the package may have any compiler.
test python-test dali-test editable-test: WARNINGS := --config-settings=cmake.define.VISTA_WERROR=ON

test: lint types cpp-test cuda-compile sanitizers python-test dali-test python-asan editable-test fuzz-short

lint: $(VENV)/.dev-extra
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find csrc tests/cpp tests/fuzz -name '*.cc' -o -name '*.cu' -o -name '*.h' -o -name '*.inc')

types: $(VENV)/.dev-extra
	$(BIN)/mypy
	$(BIN)/mypy -p kernels

.PRECIOUS: build/%/build.ninja
build/%/build.ninja: $(VENV)/.dev-extra CMakeLists.txt Makefile
	$(CMAKE) -S . -B build/$* $(CMAKE_FLAGS)

build/asan/build.ninja: CMAKE_FLAGS = $(IN_GROUPS) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVISTA_SANITIZE=address,undefined \
  -DVISTA_PYTHON=ON -DPython_EXECUTABLE=$(BIN)/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
build/tsan/build.ninja: CMAKE_FLAGS = $(IN_GROUPS) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVISTA_SANITIZE=thread

build/%/.tested: build/%/build.ninja $(NATIVE) $(CPP_TESTS)
	$(BIN)/ninja -C build/$* -j $(JOBS)
	$(BIN)/ctest --test-dir build/$* --output-on-failure -j $(JOBS)
	touch $@

cpp-test: build/cpp/.tested

# Device code, for the architectures of csrc/cuda/CMakeLists.txt. It needs no GPU, and nothing of it runs without one.
CUDA_TOOLKIT := $(CURDIR)/build/cuda-toolkit
cuda-compile: build/cuda/.compiled

# The compiler, its headers and the runtime to link with, without the libraries that their packages would bring: 105 MB.
$(CUDA_TOOLKIT)/.installed: $(VENV)/.dev-extra
	$(INSTALL) --no-deps --upgrade --target $(CUDA_TOOLKIT) nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 \
	  nvidia-cuda-runtime==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85
	touch $@

build/cuda/.compiled: $(CUDA_TOOLKIT)/.installed $(NATIVE) $(shell find csrc/cuda -name '*.cu')
	LIBRARY_PATH=$(CUDA_TOOLKIT)/nvidia/cu13/lib $(CMAKE) -S . -B build/cuda -DVISTA_TESTS=OFF -DVISTA_CUDA=ON \
	  -DCMAKE_CUDA_COMPILER=$(CUDA_TOOLKIT)/nvidia/cu13/bin/nvcc
	LIBRARY_PATH=$(CUDA_TOOLKIT)/nvidia/cu13/lib $(BIN)/ninja -C build/cuda -j $(JOBS) vista_cuda
	touch $@

sanitizers: build/asan/.tested build/tsan/.tested

# From tests/, because ./vista_fast would hide the installed package and its compiled core. The CUDA library is the one of
# cuda-compile, where that was made; what it plans is tested without a GPU. Another one, whose device is the host, runs.
HOST_LIBRARY := tests/cpp/cuda/host_library.so
SCANS := $(CURDIR)/build/scans
python-test: $(VENV)/.dev-extra $(VENV)/.package build/cpp/$(HOST_LIBRARY) $(SCANS)/.unpacked
	$(MAKE) -j 2 --output-sync=line python-test-models python-test-others

# Two jobs of about the same time, each on cores of its own.
PYTEST = VISTA_FAST_CUDA_LIBRARY=$(CURDIR)/build/cuda/csrc/cuda/_cuda.so VISTA_TEST_SCANS=$(SCANS) \
  VISTA_TEST_HOST_LIBRARY=$(CURDIR)/build/cpp/$(HOST_LIBRARY) $(BIN)/python -m pytest -q -p no:cacheprovider
python-test-models:
	cd tests && VISTA_TEST_SHARE=0/2 $(PYTEST) models kernels
	cd tests && VISTA_TEST_SHARE=0/2 $(PYTEST) cli
python-test-others:
	cd tests && VISTA_TEST_SHARE=1/2 $(PYTEST) --ignore=models --ignore=kernels --ignore=cli

# Photographs, and images with text, that packages have in their sources.
$(SCANS)/.unpacked: $(VENV)/.dev-extra Makefile
	rm -rf $(SCANS) && mkdir -p $(SCANS)
	$(PIP) download --no-deps --no-binary img2table,ocrmypdf -d $(SCANS) img2table==2.0.0 ocrmypdf==16.10.4
	echo 'setuptools<80' > $(SCANS)/build-of-mvtb-images
	$(INSTALL) --upgrade 'pip>=25.3'
	$(PIP) download --no-deps --no-binary mvtb-images --build-constraint $(SCANS)/build-of-mvtb-images \
	  -d $(SCANS) mvtb-images==1.1
	for source in $(SCANS)/*.tar.gz; do tar xzf $$source -C $(SCANS) && rm $$source; done
	touch $@

build/%/$(HOST_LIBRARY): build/%/build.ninja $(NATIVE) $(CPP_TESTS)
	$(BIN)/ninja -C build/$* -j $(JOBS) vista_host_library

# DALI's CPU pipelines, without the CUDA libraries that its package would bring: 225 MB, in a folder of its own.
DALI := $(CURDIR)/build/dali
dali-test: $(VENV)/.dev-extra $(VENV)/.package $(DALI)/.installed
	cd tests && PYTHONPATH=$(DALI) $(BIN)/python -m pytest -q devices

$(DALI)/.installed: $(VENV)/.dev-extra
	$(INSTALL) --no-deps --upgrade --target $(DALI) nvidia-dali-cuda130==2.4.0 nvidia-nvimgcodec-cu13==0.9.0.20 \
	  optree==0.20.0 nvtx==0.2.17 makefun==1.16.0 astunparse==1.6.3 gast==0.7.0 six==1.17.0 wheel==0.48.0
	touch $@

# The parts that use the compiled core, once under the address sanitizer, but for those that run OpenVINO, which refuses
# to be loaded with it. Python itself leaks by design at its exit.
ASAN_PATH := build/asan/path
python-asan: build/asan/build.ninja
	$(BIN)/ninja -C build/asan -j $(JOBS) _core vista_host_library
	rm -rf $(ASAN_PATH) && mkdir $(ASAN_PATH) && cp -r vista_fast $(ASAN_PATH)/
	cp -r kernels $(ASAN_PATH)/vista_fast/
	rm -f $(ASAN_PATH)/vista_fast/_core*.so && cp build/asan/csrc/python/_core*.so $(ASAN_PATH)/vista_fast/
	cd tests && LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(CURDIR)/$(ASAN_PATH) \
	  VISTA_TEST_HOST_LIBRARY=$(CURDIR)/build/asan/$(HOST_LIBRARY) \
	  $(BIN)/python -m pytest -q -p no:cacheprovider devices engine image integrations rollout report

# Each target for FUZZ_SECONDS; "fuzz-short" is part of the tests.
FUZZ_SECONDS ?= 600
fuzz: $(VENV)/.dev-extra $(VENV)/.package
	scripts/system_packages.sh fuzz
	scripts/fuzz.sh $(FUZZ_SECONDS)

fuzz-short:
	$(MAKE) fuzz FUZZ_SECONDS=10

# A second, small environment that borrows the dependencies of the first, with the package installed in editable mode.
EDITABLE := build/editable-env
editable-test: $(EDITABLE)/.package
	cd tests && $(CURDIR)/$(EDITABLE)/bin/python -m pytest -q engine image

$(EDITABLE)/.package: $(VENV)/.dev-extra $(NATIVE)
	$(PYTHON) -m venv --without-pip $(EDITABLE)
	echo "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  > "$$($(EDITABLE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth"
	$(BUILD) $(PIP) --python $(EDITABLE)/bin/python install --no-deps --no-build-isolation --ignore-installed \
	  $(WARNINGS) -e .
	touch $@

wheel: $(VENV)/.dev-extra
	rm -rf dist wheelhouse
	$(BUILD) $(PIP) wheel --no-deps -w dist .
	PATH="$(BIN):$$PATH" $(BIN)/auditwheel repair -w wheelhouse dist/*.whl

wheel-test: wheel
	rm -rf build/wheel-env
	$(PYTHON) -m venv build/wheel-env
	build/wheel-env/bin/python -m pip -q --disable-pip-version-check install wheelhouse/*.whl
	cd tests && $(CURDIR)/build/wheel-env/bin/python ../scripts/check_wheel.py

clean:
	rm -rf $(VENV) build dist wheelhouse
