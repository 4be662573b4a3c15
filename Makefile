# SPDX-License-Identifier: MIT
# The front door. `make` lists the targets; each works alone on a fresh Debian 12.

VERSION := 0.1.0
# One line a program; V=1 shows each command.
Q       := $(if $(V),,@)
CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local
# What systemd reads lies below PREFIX too, where it looks for /usr and /usr/local.
UNITS   ?= $(PREFIX)/lib/systemd/system
JOBS    ?= $(shell nproc)
export HOSTLER_VERSION := $(VERSION)

# llhttp: a library where the distribution has one, else its C sources as packaged (node-llhttp).
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
else ifneq ($(wildcard /usr/share/llhttp/llhttp.c),)
LLHTTP_CFLAGS := -isystem /usr/share/include/llhttp
LLHTTP_SRC    := $(addprefix /usr/share/llhttp/,api.c http.c llhttp.c)
else
LLHTTP_LIBS   := -lllhttp
endif

STD      := -std=gnu17 -D_GNU_SOURCE -DHOSTLER_VERSION='"$(VERSION)"'
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS   ?= -O2 -g
SANFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ALL_CFLAGS = $(STD) $(WARN) $(LLHTTP_CFLAGS) -Isrc -MMD -MP
LIBS     := $(LLHTTP_LIBS) -luv -ljansson -lssl -lcrypto -lxxhash -ldl -lpthread -lm

SRC   := $(filter-out src/main.c,$(wildcard src/*/*.c src/*/*/*.c))
UNIT  := $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c)
SIM   := $(wildcard tests/sim/*.c)
FUZZ  := $(wildcard tests/fuzz/fuzz_*.c)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup build test demo bench lint fuzz sim torture install install-files deb clean san

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-9s %s\n' "$$t" "$$d"; done

setup: ## install what the build needs (Debian 12, 13, Ubuntu 24.04)
	@scripts/setup build

# Set-up may install llhttp, which decides how it is linked: so each front door calls make again.
build: setup ## set up, then build build/hostler
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/hostler

demo: build ## set up, build, and show the main job on a real model
	@scripts/demo

test: ## set up, build, run every test
	@scripts/setup test
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/hostler san
	@scripts/test

lint: ## formatting, clang-tidy, layers, the page's types, both compilers without a warning
	@scripts/setup lint
	@scripts/lint

sim: ## ten million events through each of the scheduler's simulations
	@scripts/setup test
	@$(MAKE) --no-print-directory -j$(JOBS) $(SIM:tests/sim/%.c=$(BUILD)/sim/%)
	$(BUILD)/sim/sim_sched --events 10000000
	$(BUILD)/sim/sim_turns --events 10000000

fuzz: ## each fuzz target for a minute (FUZZ_SECONDS)
	@scripts/setup lint
	@scripts/fuzz

torture: ## every nth call of every kind fails: all of it takes an hour or two (TORTURE_SECONDS)
	@scripts/setup test
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/san/hostler $(BUILD)/san/fail_nth.so
	@tests/torture/run

bench: ## measure, side by side with the engine alone, nginx, HAProxy, the stock router
	@scripts/setup bench
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/hostler $(BUILD)/bench/engine $(BUILD)/bench/load $(BUILD)/bench/traces $(BUILD)/bench/turns.so
	@bench/run
	@$(BUILD)/bench/traces

install: build ## install under PREFIX (/usr/local), DESTDIR respected
	@$(MAKE) --no-print-directory install-files

install-files: $(BUILD)/hostler $(BUILD)/man/hostler.1
	install -D -m 755 $(BUILD)/hostler $(DESTDIR)$(PREFIX)/bin/hostler
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(UNITS)
	install -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	for unit in hostler.service hostler-sleep.service; do \
	  sed 's|@PREFIX@|$(PREFIX)|' packaging/systemd/$$unit.in > $(DESTDIR)$(UNITS)/$$unit || exit; done
	install -m 644 packaging/systemd/hostler.socket $(DESTDIR)$(UNITS)
	install -D -m 644 packaging/systemd/hostler.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/hostler.conf
	install -D -m 644 packaging/systemd/hostler.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/hostler.conf
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/hostler/LICENSE
	install -D -m 644 packaging/prometheus/hostler.rules.yml $(DESTDIR)$(PREFIX)/share/hostler/prometheus/hostler.rules.yml
	install -D -m 644 packaging/grafana/hostler.json $(DESTDIR)$(PREFIX)/share/hostler/grafana/hostler.json
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BUILD)/hostler completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/hostler
	$(BUILD)/hostler completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_hostler
	$(BUILD)/hostler completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/hostler.fish

deb: ## build a Debian package, build/deb/*.deb
	@scripts/setup deb
	@scripts/deb $(BUILD)/deb

clean: ## remove what was built (downloads in .deps stay)
	rm -rf $(BUILD)

# --- release: build/hostler --------------------------------------------------------------------
OBJ := $(SRC:src/%.c=$(BUILD)/obj/%.o)
LLHTTP_OBJ := $(LLHTTP_SRC:/usr/share/llhttp/%.c=$(BUILD)/obj/llhttp/%.o)

# The page (ui/), as C source. A release has it beside its sources, so that nothing is fetched when that is built.
# One that was made without its packages is tried again.
PAGE     := $(firstword $(wildcard ui/embedded.c) $(BUILD)/ui/embedded.c)
PAGE_SRC := $(shell find ui -name node_modules -prune -o -name dist -prune -o -name tests -prune -o -type f -print 2>/dev/null)
.PHONY: again
$(BUILD)/ui/embedded.c: scripts/ui $(PAGE_SRC) $(if $(wildcard $(BUILD)/ui/missing),again)
	@echo "  building $@"
	$(Q)scripts/ui build $(@D)
$(BUILD)/obj/embedded.o: $(PAGE) src/api/page_assets.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/san/obj/embedded.o: $(PAGE) src/api/page_assets.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -O0 -c -o $@ $<

$(BUILD)/hostler: $(BUILD)/obj/main.o $(BUILD)/libhostler.a
	@echo "  building $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/man/hostler.1: $(BUILD)/hostler scripts/man $(wildcard packaging/man/*)
	@echo "  building $(@D)"
	$(Q)scripts/man $(BUILD)/hostler $(@D)
$(BUILD)/libhostler.a: $(OBJ) $(BUILD)/obj/embedded.o $(LLHTTP_OBJ)
	@rm -f $@
	$(Q)$(AR) qcs $@ $^
$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/obj/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(LLHTTP_CFLAGS) $(CFLAGS) -c -o $@ $<

# --- with AddressSanitizer and UndefinedBehaviorSanitizer: build/san/... ------------------------
SAN_OBJ := $(SRC:src/%.c=$(BUILD)/san/obj/%.o)
SAN_LLHTTP_OBJ := $(LLHTTP_SRC:/usr/share/llhttp/%.c=$(BUILD)/san/obj/llhttp/%.o)
SAN_UNIT := $(UNIT:tests/unit/%.c=$(BUILD)/san/unit/%)
SAN_FUZZ := $(FUZZ:tests/fuzz/%.c=$(BUILD)/san/fuzz/%)

san: $(BUILD)/san/hostler $(BUILD)/san/hostler_kinds $(SAN_UNIT) $(SAN_FUZZ) $(SIM:tests/sim/%.c=$(BUILD)/sim/%) $(SIM:tests/sim/%.c=$(BUILD)/san/sim/%) $(BUILD)/san/fake_nvml.so $(BUILD)/san/fail_nth.so $(BUILD)/san/chains
$(BUILD)/san/hostler: $(BUILD)/san/obj/main.o $(BUILD)/san/libhostler.a
	@echo "  building $@"
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
# With a second kind of engine (tests/kind): its list is found before the library's.
$(BUILD)/san/hostler_kinds: $(wildcard tests/kind/*.[ch]) $(BUILD)/san/obj/main.o $(BUILD)/san/libhostler.a
	@echo "  building $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(SANFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.o %.a,$^) $(LIBS)
$(BUILD)/san/libhostler.a: $(SAN_OBJ) $(BUILD)/san/obj/embedded.o $(SAN_LLHTTP_OBJ)
	@rm -f $@
	$(Q)$(AR) qcs $@ $^
$(BUILD)/san/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SANFLAGS) -c -o $@ $<
$(BUILD)/san/obj/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(LLHTTP_CFLAGS) $(SANFLAGS) -c -o $@ $<
$(BUILD)/san/chains: tests/chains.c $(BUILD)/san/libhostler.a
	@echo "  building $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(SANFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/san/unit/%: tests/unit/%.c $(BUILD)/san/libhostler.a
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(SANFLAGS) -o $@ $< $(BUILD)/san/libhostler.a -lcmocka $(LIBS)
# In the ordinary run a fuzz target only replays its corpus: replay.c is its main().
$(BUILD)/san/fuzz/%: tests/fuzz/%.c tests/fuzz/replay.c $(BUILD)/san/libhostler.a
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(STD) $(LLHTTP_CFLAGS) -Isrc $(SANFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/san/sim/%: tests/sim/%.c $(BUILD)/san/libhostler.a
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(SANFLAGS) -o $@ $< $(BUILD)/san/libhostler.a $(LIBS)
$(BUILD)/sim/%: tests/sim/%.c $(BUILD)/libhostler.a
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) -o $@ $< $(BUILD)/libhostler.a $(LIBS)
$(BUILD)/bench/turns.so: bench/turns.c
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(STD) $(WARN) $(CFLAGS) -shared -fPIC -o $@ $< -ldl
$(BUILD)/bench/traces: bench/trace.c bench/trace.h bench/replay.c bench/replay.h
$(BUILD)/bench/%: bench/%.c $(BUILD)/libhostler.a
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^) $(BUILD)/libhostler.a $(LIBS) -lm
$(BUILD)/san/fake_nvml.so: tests/fake_nvml.c
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(STD) -shared -fPIC -O1 -g -o $@ $<

$(BUILD)/san/fail_nth.so: tests/torture/fail_nth.c
	@mkdir -p $(@D)
	@echo "  building $@"
	$(Q)$(CC) $(STD) -Wall -Wextra -Werror -shared -fPIC -O2 -g -o $@ $< -ldl

-include $(OBJ:.o=.d) $(SAN_OBJ:.o=.d) $(BUILD)/obj/main.d $(BUILD)/san/obj/main.d
-include $(wildcard $(BUILD)/san/unit/*/*.d $(BUILD)/san/unit/*/*/*.d)

# --- for the scripts ------------------------------------------------------------------------------
.PHONY: print-flags print-libs print-llhttp-src
print-flags:
	@echo $(subst ",\",$(STD)) $(LLHTTP_CFLAGS) -Isrc
print-libs:
	@echo $(LIBS)
print-llhttp-src:
	@echo $(LLHTTP_SRC)
