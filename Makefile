# make            builds               make deps     installs what building and testing need
# make install    installs             make demo     three escrows on real wallets, from nothing
# make check      every test           make bench    measures
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
B ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
SANITIZE ?=
# points at which tests let things happen (common/fault.h): FAULTS=1
FAULTS ?=
MISTAKES := ack-before-commit blind-repeat restore-over
# a mistake that they must find: MISTAKE=ack-before-commit, blind-repeat or restore-over
MISTAKE ?=

VERSION := 0.1.0
PACKAGES := libevent_core libevent_extra jansson sqlite3 libsodium libbsd libcurl libconfuse smartcols
LIBEXECDIR := $(PREFIX)/libexec/msigd

V ?= 0
Q := $(if $(filter 0,$(V)),@,)
# what is done, a line each; nothing with make -s
say = $(if $(filter 0,$(V)),$(if $(findstring s,$(filter-out --%,$(firstword $(MAKEFLAGS)))),@:,@echo '  $(1)'),@:)

flags = $(shell pkg-config --cflags $(1))
libs = $(shell pkg-config --libs $(1))

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -I. $(WARN) -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE $(CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -U_FORTIFY_SOURCE -DMSIGD_SANITIZE) \
	$(if $(FAULTS),-DMSIGD_FAULTS) $(if $(MISTAKE),-DMSIGD_MISTAKE_$(subst -,_,$(shell echo $(MISTAKE) | tr a-z A-Z))=1) \
	-DMSIGD_VERSION='"$(VERSION)"'
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

COMMON := $(wildcard common/*.c)
IPC := $(wildcard ipc/*.c)
SUPERVISOR := $(wildcard supervisor/*.c)
WORKER := $(wildcard worker/*.c)
MSIGCTL := $(wildcard msigctl/*.c)
MSIGTRACE := $(wildcard msigtrace/*.c)
# what msigctl and msigtrace show things with
VIEW := $(patsubst %,msigctl/%.c,arguments help output program table terminal text)
UNIT := $(wildcard tests/unit/test_*.c)
STAND_IN := $(wildcard tests/stand_in/*.c)
PROGRAMS := $(B)/msigd $(B)/msigd-worker $(B)/msigctl $(B)/msigtrace

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

all: $(PROGRAMS)

# config.c and what it needs are for those who read msigd.conf; the others do
# not load libconfuse.
CONFIG := $(wildcard common/config*.c)
BASE := $(filter-out $(CONFIG),$(COMMON))

$(B)/msigd: $(call obj,$(SUPERVISOR) $(COMMON) $(IPC))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,libevent_core libevent_extra jansson sqlite3 libsodium libbsd libconfuse)

$(B)/msigd-worker: $(call obj,$(WORKER) $(BASE) $(IPC))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,libevent_core jansson libsodium libbsd libcurl)

# Many monero-wallet-rpcs in one process, for tests: not installed.
stand-in: $(B)/stand_in
$(B)/stand_in: $(call obj,$(STAND_IN) $(BASE))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,libmd libevent_core jansson libsodium libbsd)

# Preloaded by tests/fault/failing_io.py; what it fails must not be checked again by
# the sanitizers or by fortified calls.
failing-io: $(B)/failing_io.so
$(B)/failing_io.so: tests/fault/failing_io.c $(B)/obj/prefix
	$(call say,CC $@)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE -O2 $(WARN) -fPIC -shared -o $@ $<

$(B)/msigctl: $(call obj,$(MSIGCTL) $(BASE))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,jansson libsodium libcurl smartcols)

# It needs neither the network nor anything secret.
$(B)/msigtrace: $(call obj,$(MSIGTRACE) $(VIEW) $(patsubst %,common/%.c,clock duration role suggest uuid))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,jansson libsodium smartcols)

# The two folders compiled in make an object depend on PREFIX: a build folder
# remembers which it was built for.
$(B)/obj/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX) $(SYSCONFDIR) $(SANITIZE) $(FAULTS) $(MISTAKE) $(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(PREFIX) $(SYSCONFDIR) $(SANITIZE) $(FAULTS) $(MISTAKE) $(CC) $(CFLAGS)' > $@

$(B)/obj/%.o: %.c $(B)/obj/prefix
	$(call say,CC $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DMSIGD_LIBEXECDIR='"$(LIBEXECDIR)"' -DMSIGD_SYSCONFDIR='"$(SYSCONFDIR)"' -MMD -MP -c -o $@ $<

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

FORCE:
.PHONY: all FORCE

# --- installing ---------------------------------------------------------------

MANUALS := $(wildcard man/*.[1-8])

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(SYSCONFDIR)
	install -m 755 $(B)/msigd $(DESTDIR)$(PREFIX)/sbin/msigd
	install -m 755 $(B)/msigctl $(DESTDIR)$(PREFIX)/bin/msigctl
	install -m 755 $(B)/msigtrace $(DESTDIR)$(PREFIX)/bin/msigtrace
	install -m 755 $(B)/msigd-worker $(DESTDIR)$(LIBEXECDIR)/msigd-worker
	for page in $(MANUALS); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; \
	done
	install -D -m 644 etc/msigd.conf $(DESTDIR)$(PREFIX)/share/doc/msigd/msigd.conf.sample
	install -D -m 644 etc/completions/msigctl $(DESTDIR)$(PREFIX)/share/bash-completion/completions/msigctl
	install -D -m 644 etc/completions/msigtrace $(DESTDIR)$(PREFIX)/share/bash-completion/completions/msigtrace
	install -D -m 644 etc/msigd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/msigd.service
	sed -i 's|@SBIN@|$(PREFIX)/sbin|' $(DESTDIR)$(PREFIX)/lib/systemd/system/msigd.service

# --- the two commands, and what they need -------------------------------------

# The demo and the tests use installed programs, in a folder of the tree.
STAGE := $(abspath $(B))/stage
stage = $(MAKE) --no-print-directory B=$(B)/$(1)-build PREFIX=$(STAGE)/$(1) SYSCONFDIR=$(STAGE)/$(1)/etc $(2) install >/dev/null

deps:
	@tests/scripts/deps all

demo:
	@tests/scripts/deps demo
	@echo 'building'
	@+$(call stage,plain)
	@/usr/bin/python3 demo/demo.py $(STAGE)/plain

# What needs one core and no peace goes side by side.
check: deps
	@+$(MAKE) --no-print-directory -j2 --output-sync=target B=$(B) check-units check-static check-model check-fuzz
	@+$(MAKE) --no-print-directory B=$(B) check-system check-faults check-failing-io-sample

check-static: deps
	@tests/scripts/check-static

# The crash protocol as a model, every order of events in it.
check-model: deps
	@tests/scripts/check-model

# Every unit test, with gcc, with clang, and with both sanitizers.
check-units: deps
	@+tests/scripts/check-units $(B) $(MAKE)

# What msigtrace reads may come from anywhere. What is found goes into B/fuzz; what
# was worth keeping of it belongs into the corpus.
FUZZ_SECONDS := 60
FUZZED := tests/fuzz/fuzz_trace.c $(filter-out msigtrace/main.c,$(MSIGTRACE)) $(VIEW) \
	$(patsubst %,common/%.c,clock duration role suggest uuid)

$(B)/fuzz/trace: $(FUZZED) $(wildcard msigtrace/*.h)
	$(call say,LD $@)
	@mkdir -p $(@D)
	$(Q)clang -std=c17 -D_GNU_SOURCE -I. $(WARN) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-DMSIGD_VERSION='"$(VERSION)"' $(call flags,jansson smartcols) -o $@ $(FUZZED) $(call libs,jansson libsodium smartcols)

check-fuzz: deps
	@+$(MAKE) --no-print-directory B=$(B) $(B)/fuzz/trace
	@tests/scripts/check-fuzz $(B)/fuzz $(FUZZ_SECONDS)

# Three at a time for two cores: a wallet-rpc uses one, and much of it waits. A test
# that hangs fails after 10 minutes, and what has failed is told at once.
PYTEST_FLAGS ?=
PYTEST := /usr/bin/python3 -m pytest -q -p no:cacheprovider -n 3 --timeout 600 --instafail --durations 10 $(PYTEST_FLAGS)

# The real thing: installed programs on real wallet-rpcs. Plain, and some of it
# again with the sanitizers.
check-system: deps
	@+$(call stage,plain,stand-in)
	@+$(call stage,sanitized,SANITIZE=address,undefined CC=gcc)
	@MSIGD_STAGE=$(STAGE)/plain MSIGD_STAGE_SANITIZED=$(STAGE)/sanitized MSIGD_STAND_IN=$(abspath $(B))/plain-build/stand_in \
		$(PYTEST) tests/system

# What is killed at which point: a sample on the stand-in.
faults = MSIGD_STAGE=$(STAGE)/$(1) MSIGD_STAND_IN=$(abspath $(B))/$(1)-build/stand_in /usr/bin/python3 tests/fault/matrix.py $(2)

check-faults: deps
	@+$(call stage,faults,FAULTS=1 stand-in)
	@$(call faults,faults,--sample 150)

# All of it, after make check: every point and act, those on real wallet-rpcs, and
# whether planted mistakes are found. The two longest come last; they can be told when
# to end, UNTIL=$(date +%s -d '1 hour'), and say then how much of them was not run.
REAL_RUNS := 40
UNTIL ?=
MATRIX_SECONDS := 1500

check-full: deps
	@+$(call stage,faults,FAULTS=1 stand-in)
	@+$(foreach m,$(MISTAKES),$(call stage,$(m),FAULTS=1 MISTAKE=$(m) stand-in) &&) true
	@+$(call stage,plain,stand-in)
	@$(foreach m,$(MISTAKES),echo 'planted: $(m)' && $(call faults,$(m),--must-fail $(m)) &&) true
	@MSIGD_FULL=1 MSIGD_STAGE=$(STAGE)/plain MSIGD_STAND_IN=$(abspath $(B))/plain-build/stand_in \
		$(PYTEST) tests/system/test_resume.py tests/system/test_scheduling.py tests/system/test_diagnose.py \
		tests/system/test_escrow.py::test_many_on_three_endpoints_are_served_in_turn_and_do_not_pollute
	@$(call faults,faults,--real --sample $(REAL_RUNS) --jobs 2)
	@+$(MAKE) --no-print-directory B=$(B) $(if $(UNTIL),FAILING_IO="--until $$(($(UNTIL) - $(MATRIX_SECONDS)))") check-failing-io
	@$(call faults,faults,--jobs 6 $(if $(UNTIL),--until $(UNTIL)))

# As many as one likes: make chaos N=500
N ?= 100

chaos: deps
	@+$(call stage,faults,FAULTS=1 stand-in)
	@$(call faults,faults,--real --sample $(N) --jobs 2)

# Every call that changes a file fails, on a build with FAULTS=1; some of them by chance
# with FAILING_IO="--sample 20".
FAILING_IO ?=
check-failing-io: deps
	@+$(call stage,faults,FAULTS=1 stand-in failing-io)
	@MSIGD_STAGE=$(STAGE)/faults MSIGD_STAND_IN=$(abspath $(B))/faults-build/stand_in \
		MSIGD_FAILING_IO=$(abspath $(B))/faults-build/failing_io.so /usr/bin/python3 tests/fault/failing_io.py $(FAILING_IO)

check-failing-io-sample: deps
	@+$(MAKE) --no-print-directory B=$(B) FAILING_IO='--sample 20' check-failing-io

bench: deps
	@+$(call stage,plain,stand-in)
	@MSIGD_STAGE=$(STAGE)/plain MSIGD_STAND_IN=$(abspath $(B))/plain-build/stand_in /usr/bin/python3 tests/bench/bench.py

bench-saturation: deps
	@+$(call stage,plain)
	@MSIGD_STAGE=$(STAGE)/plain /usr/bin/python3 tests/bench/saturation.py --svg $(B)/saturation.svg

# A unit test links everything but the mains; test_msigctl_* with msigctl's
# objects, test_msigtrace_* and test_worker_* likewise, all others with the supervisor's.
without_main = $(filter-out %/main.o,$(call obj,$(1)))
UNIT_LIBS = $(call libs,libevent_core libevent_extra jansson sqlite3 libsodium libbsd libconfuse libcurl smartcols cmocka)
UNIT_PROGRAMS = $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT))

$(B)/unit/test_msigctl%: $(B)/obj/tests/unit/test_msigctl%.o $(call without_main,$(COMMON) $(MSIGCTL))
	$(call say,LD $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

$(B)/unit/test_msigtrace%: $(B)/obj/tests/unit/test_msigtrace%.o $(call without_main,$(COMMON) $(MSIGTRACE) $(VIEW))
	$(call say,LD $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

$(B)/unit/test_worker%: $(B)/obj/tests/unit/test_worker%.o $(call without_main,$(COMMON) $(IPC) $(WORKER))
	$(call say,LD $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

$(B)/unit/test_%: $(B)/obj/tests/unit/test_%.o $(call without_main,$(COMMON) $(IPC) $(SUPERVISOR))
	$(call say,LD $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

.SECONDARY:
units: $(UNIT_PROGRAMS) $(B)/stand_in

clean:
	rm -rf $(B)

.PHONY: install stand-in failing-io deps demo check check-static check-model check-units check-fuzz check-system check-faults check-full \
	chaos check-failing-io check-failing-io-sample bench bench-saturation units clean
