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

VERSION := 0.1.0
PACKAGES := libevent_core libevent_extra jansson sqlite3 libsodium libbsd libcurl libconfuse smartcols
LIBEXECDIR := $(PREFIX)/libexec/msigd

V ?= 0
Q := $(if $(filter 0,$(V)),@,)
say = $(if $(filter 0,$(V)),@echo '  $(1)')

flags = $(shell pkg-config --cflags $(1))
libs = $(shell pkg-config --libs $(1))

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. $(WARN) -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE $(CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -U_FORTIFY_SOURCE -DMSIGD_SANITIZE) \
	-DMSIGD_VERSION='"$(VERSION)"'
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

COMMON := $(wildcard common/*.c)
IPC := $(wildcard ipc/*.c)
SUPERVISOR := $(wildcard supervisor/*.c)
WORKER := $(wildcard worker/*.c)
MSIGCTL := $(wildcard msigctl/*.c)
UNIT := $(wildcard tests/unit/test_*.c)
PROGRAMS := $(B)/msigd $(B)/msigd-worker $(B)/msigctl

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

all: $(PROGRAMS)

# config.c and what it needs are for those who read msigd.conf; the others do
# not load libconfuse.
CONFIG := common/config.c common/config_lint.c
BASE := $(filter-out $(CONFIG),$(COMMON))

$(B)/msigd: $(call obj,$(SUPERVISOR) $(COMMON) $(IPC))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,libevent_core libevent_extra jansson sqlite3 libsodium libbsd libconfuse)

$(B)/msigd-worker: $(call obj,$(WORKER) $(BASE) $(IPC))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,libevent_core jansson libsodium libbsd libcurl)

$(B)/msigctl: $(call obj,$(MSIGCTL) $(BASE))
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,jansson libsodium libcurl smartcols)

# The two folders compiled in make an object depend on PREFIX: a build folder
# remembers which it was built for.
$(B)/obj/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX) $(SYSCONFDIR) $(SANITIZE) $(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(PREFIX) $(SYSCONFDIR) $(SANITIZE) $(CC) $(CFLAGS)' > $@

$(B)/obj/%.o: %.c $(B)/obj/prefix
	$(call say,CC $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DMSIGD_LIBEXECDIR='"$(LIBEXECDIR)"' -DMSIGD_SYSCONFDIR='"$(SYSCONFDIR)"' -MMD -MP -c -o $@ $<

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

FORCE:
.PHONY: all FORCE
