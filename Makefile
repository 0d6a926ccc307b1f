# SPDX-License-Identifier: MIT
# A thin front for Meson and Ninja; everything that is made is under build/.

BUILD ?= build
PREFIX ?= /usr/local
NINJA = ninja -C $(BUILD)

.PHONY: all help deps demo check check-mutants check-vm check-vm-all install bench-record bench-backends bench-rcu bench-runtime clean

# The tests are built by check only.
all: $(BUILD)/build.ninja
	@$(NINJA) retour libretour man

help:
	@echo 'make               build $(BUILD)/retour and libretour'
	@echo 'make deps          install the Debian packages that the build needs'
	@echo 'make demo          record this machine for five seconds, make $(BUILD)/demo/profile.html'
	@echo 'make check         run every test'
	@echo 'make check-vm      run the tests that need a newer kernel, in a virtual machine; check-vm-all: in every kernel'
	@echo 'make check-mutants  show that the tests of libretour find deliberate bugs'
	@echo 'make install       install under PREFIX (default /usr/local), below DESTDIR'
	@echo 'make bench-record  measure against perf, into bench/results/'
	@echo 'make bench-backends  measure the backends, here and in a virtual machine, into bench/results/'
	@echo 'make bench-rcu     measure RCU against liburcu and ck, into bench/results/'
	@echo 'make bench-runtime  measure tracepoints against LTTng-UST and sdt.h, into bench/results/'
	@echo 'make clean         remove $(BUILD)/'

$(BUILD)/build.ninja:
	@command -v meson >/dev/null && command -v ninja >/dev/null || \
		{ echo "meson or ninja is missing: run 'make deps' first"; exit 1; }
	@meson setup --prefix=$(PREFIX) $(BUILD)

deps:
	@tools/install-deps.sh build

demo:
	@tools/install-deps.sh build demo
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(BUILD)

# Where these packages cannot be had the tests in virtual machines are skipped, and say why.
vm-deps = tools/install-deps.sh vm || echo 'no virtual machines: their tests are skipped'

check:
	@tools/install-deps.sh build test
	@$(vm-deps)
	@$(MAKE) --no-print-directory all
	@$(NINJA)
	@python3 tests/run.py $(BUILD)

check-vm: kernels = newest
check-vm-all: kernels = all
check-vm check-vm-all:
	@tools/install-deps.sh build test
	@$(vm-deps)
	@$(MAKE) --no-print-directory all
	@$(NINJA)
	@python3 tests/run.py $(BUILD) $(kernels)

check-mutants:
	@tools/install-deps.sh build
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@$(NINJA) all mutants
	@python3 tests/mutants.py $(BUILD)

install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@$(NINJA) retour libretour man
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

bench-record:
	@tools/install-deps.sh build bench
	@$(MAKE) --no-print-directory all
	@$(NINJA)
	@python3 bench/record.py $(BUILD)

bench-backends:
	@tools/install-deps.sh build bench vm
	@$(MAKE) --no-print-directory all
	@$(NINJA)
	@python3 bench/backends.py $(BUILD)

# The build directory may be older than the packages.
bench-rcu:
	@tools/install-deps.sh build bench
	@$(MAKE) --no-print-directory all
	@meson setup --reconfigure $(BUILD) >/dev/null
	@$(NINJA) bench-rcu
	@python3 bench/rcu.py $(BUILD)

bench-runtime:
	@tools/install-deps.sh build bench
	@$(MAKE) --no-print-directory all
	@meson setup --reconfigure $(BUILD) >/dev/null
	@$(NINJA) bench-runtime
	@python3 bench/runtime.py $(BUILD)

clean:
	@rm -rf $(BUILD)
