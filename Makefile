# cloakroom: distributed web sessions over Redis
# SPDX-License-Identifier: MIT
#
# Everything is built under build/<mode>/ from one set of rules, so the variants never disturb each
# other: release (what is installed), test, asan, tsan, valgrind, clang (warnings), fuzz.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---- settings -----------------------------------------------------------------------------------
# CC is make's own `cc` unless the command line or the environment names another (CC=clang).

CFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=
AR ?= ar
CLANG ?= clang
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=
# another hiredis than the system's: a folder with include/hiredis and lib, or with usr/ before them
HIREDIS_PREFIX ?=
# V=1 shows the commands
V ?= 0
# programs built and run at once by the check targets: twice the cores, for half of the parts do
# nothing but wait for time to pass
JOBS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))
# fuzz: target and seconds
F ?= record
T ?= 60
# soak: seconds, mode (test, asan, tsan), and the first seed (empty: by the time of day)
S ?= 600
M ?= test
SEED ?=

# An empty setting means the default: packagers and FFI builds pass LIBDIR= on.
override PREFIX := $(or $(PREFIX),/usr/local)
override LIBDIR := $(or $(LIBDIR),$(PREFIX)/lib)
override INCLUDEDIR := $(or $(INCLUDEDIR),$(PREFIX)/include)
override MANDIR := $(or $(MANDIR),$(PREFIX)/share/man)

STD = -std=c11 -D_GNU_SOURCE
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
PROJECT = $(STD) $(WARN) -pthread -fPIC -fvisibility=hidden -fstack-protector-strong \
	-MMD -MP
LINK_SO = -shared -Wl,-z,defs -Wl,-z,nodelete -Wl,-z,relro,-z,now
WRAP = -Wl,--wrap=cloak__malloc,--wrap=cloak__calloc,--wrap=cloak__realloc,--wrap=cloak__free \
	-Wl,--wrap=getaddrinfo,--wrap=freeaddrinfo

# One mode: its compiler, the flags after the user's, and its way to run a program.
MODES = release test asan tsan valgrind clang fuzz
CC_release = $(CC)
CFLAGS_release = $(CFLAGS) $(CPPFLAGS) -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
RUN_release =
CC_test = $(CC)
CFLAGS_test = -O2 -g -Werror
RUN_test =
CC_asan = $(CC)
CFLAGS_asan = -O1 -g -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
RUN_asan = env CK_TIMEOUT_MULTIPLIER=4 ASAN_OPTIONS=detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=print_stacktrace=1
CC_tsan = $(CC)
CFLAGS_tsan = -O1 -g -Werror -fsanitize=thread -fno-omit-frame-pointer
# TSan of gcc 12 does not know the wider address space randomisation of newer kernels.
RUN_tsan = env CK_TIMEOUT_MULTIPLIER=10 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
	$(shell setarch -R true 2>/dev/null && echo setarch -R)
CC_valgrind = $(CC)
CFLAGS_valgrind = -O1 -g -Werror
RUN_valgrind = env CK_TIMEOUT_MULTIPLIER=20 CLOAK_SLOW=1 valgrind -q --tool=memcheck \
	--error-exitcode=99 --leak-check=full --show-leak-kinds=definite,possible --num-callers=20
CC_clang = $(CLANG)
CFLAGS_clang = -O1 -Werror
RUN_clang =
CC_fuzz = $(CLANG)
CFLAGS_fuzz = -O1 -g -Werror -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
RUN_fuzz =

# Link flags of a mode that its compile flags do not carry.
LDFLAGS_fuzz = -fsanitize=fuzzer,address,undefined

THIRD = $(if $(HIREDIS_PREFIX),,hiredis) libsodium openssl
THIRD_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(THIRD) 2>/dev/null)
THIRD_LIBS := $(shell $(PKG_CONFIG) --libs $(THIRD) 2>/dev/null)
ifneq ($(HIREDIS_PREFIX),)
hiredis_in = $(firstword $(wildcard $(foreach d,$1,$(HIREDIS_PREFIX)/$d $(HIREDIS_PREFIX)/usr/$d)))
HIREDIS_H := $(call hiredis_in,include/hiredis/hiredis.h)
HIREDIS_SO := $(call hiredis_in,$(foreach d,lib lib64 lib/*,$d/libhiredis.so))
ifeq ($(and $(HIREDIS_H),$(HIREDIS_SO)),)
$(error HIREDIS_PREFIX=$(HIREDIS_PREFIX): no include/hiredis/hiredis.h or no lib/libhiredis.so there)
endif
HIREDIS_LIB := $(patsubst %/,%,$(dir $(abspath $(HIREDIS_SO))))
THIRD_CFLAGS := -isystem $(abspath $(dir $(HIREDIS_H))..) $(THIRD_CFLAGS)
THIRD_LIBS := -L$(HIREDIS_LIB) -Wl,-rpath,$(HIREDIS_LIB) -lhiredis $(THIRD_LIBS)
endif
CHECK_CFLAGS := $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)
CHECK_LIBS := $(shell $(PKG_CONFIG) --libs check 2>/dev/null)

ifeq ($(V),1)
Q =
say =
else
Q = @
say = @echo '$1 $2'
endif

# ---- files --------------------------------------------------------------------------------------

version = $(shell sed -n 's/^\#define CLOAK_VERSION_$1 //p' include/cloakroom.h)
MAJOR := $(call version,MAJOR)
VERSION := $(MAJOR).$(call version,MINOR).$(call version,PATCH)

SONAME = libcloakroom.so.$(MAJOR)
REALNAME = libcloakroom.so.$(VERSION)
A = build/release/libcloakroom.a
SO = build/release/$(REALNAME)

LIB_SRC := $(sort $(wildcard lib/*.c))
SUPPORT_SRC := $(sort $(wildcard test/support/*.c))
UNIT := $(patsubst %.c,%,$(sort $(wildcard test/test_*.c)))
WIRE := $(patsubst %.c,%,$(sort $(wildcard test/wire_*.c)))
LIVE := $(patsubst %.c,%,$(sort $(wildcard test/live_*.c)))
SUITES = $(UNIT) $(WIRE) $(LIVE)
MODEL_SRC := $(sort $(wildcard test/models/*.c))
FUZZ := $(patsubst %.c,%,$(sort $(wildcard test/fuzz/fuzz_*.c)))

# In these folders a file with a main() is a program; the others are linked to each of them.
with_main = $(if $1,$(shell grep -l '^int main.' $1))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))
CGI_SRC := $(sort $(wildcard examples/cgi/*.c))
BENCH_SRC := $(sort $(wildcard test/bench*.c test/bench/*.c))
EXAMPLE_MAIN := $(sort $(call with_main,$(EXAMPLE_SRC)))
CGI_MAIN := $(sort $(call with_main,$(CGI_SRC)))
BENCH_MAIN := $(sort $(call with_main,$(BENCH_SRC)))
MODEL_MAIN := $(sort $(call with_main,$(MODEL_SRC)))
MODELS = $(MODEL_MAIN:test/models/%.c=%)
EXAMPLES = $(EXAMPLE_MAIN:%.c=build/release/%) $(CGI_MAIN:%.c=build/release/%)
BENCHES = $(BENCH_MAIN:%.c=build/release/%)

# objects of sources $2 in mode $1
objects = $(patsubst %.c,build/$1/%.o,$2)
suites = $(addprefix build/$1/,$2)

# ---- build --------------------------------------------------------------------------------------

.PHONY: all lib examples man deps
all: lib examples man ## build the libraries, the examples and the man pages (the default)
lib: $(A) $(SO) build/release/$(SONAME) build/release/libcloakroom.so ## build the libraries
examples: $(EXAMPLES) ## build the examples
man: build/man/man7/cloakroom.7 ## build the man pages, in build/man

deps: ## install what building needs, by the system's packages
	$(Q)tools/deps.sh build

build/have-libs:
	$(Q)$(PKG_CONFIG) --exists $(THIRD) || { \
		echo 'hiredis, libsodium, openssl or pkg-config is missing: run `make deps`' >&2; exit 1; }
	$(Q)mkdir -p $(@D) && touch $@

# Rules of a mode. `flags` changes, and all is compiled again, when compiler or flags do.
define mode_rules
build/$1/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$$(CC_$1) $$(PROJECT) $$(CFLAGS_$1) $$(THIRD_CFLAGS) $$(THIRD_LIBS)' | \
		cmp -s - $$@ || \
		echo '$$(CC_$1) $$(PROJECT) $$(CFLAGS_$1) $$(THIRD_CFLAGS) $$(THIRD_LIBS)' > $$@

compile_$1 = $$(CC_$1) $$(PROJECT) $$(CFLAGS_$1) -ffile-prefix-map=$$(CURDIR)=.

build/$1/lib/%.o: lib/%.c build/$1/flags | build/have-libs
	$$(call say,CC,$$<$$(tag_$1))
	@mkdir -p $$(@D)
	$(Q)$$(compile_$1) $$(THIRD_CFLAGS) -c -o $$@ $$<

build/$1/test/%.o: test/%.c build/$1/flags | build/have-libs
	$$(call say,CC,$$<$$(tag_$1))
	@mkdir -p $$(@D)
	$(Q)$$(compile_$1) $$(CHECK_CFLAGS) $$(THIRD_CFLAGS) -Iinclude -Ilib -Itest -c -o $$@ $$<

build/$1/examples/%.o: examples/%.c build/$1/flags | build/have-libs
	$$(call say,CC,$$<$$(tag_$1))
	@mkdir -p $$(@D)
	$(Q)$$(compile_$1) -Iinclude $$(THIRD_CFLAGS) -c -o $$@ $$<

build/$1/tools/%.o: tools/%.c build/$1/flags | build/have-libs
	$$(call say,CC,$$<$$(tag_$1))
	@mkdir -p $$(@D)
	$(Q)$$(compile_$1) -Iinclude $$(THIRD_CFLAGS) -c -o $$@ $$<

build/$1/libinside.a: $$(call objects,$1,$(LIB_SRC))
	$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
build/$1/libsupport.a: $$(call objects,$1,$(SUPPORT_SRC))
	$(Q)rm -f $$@ && $(AR) rcs $$@ $$^

$$(call suites,$1,$(SUITES)): %: %.o build/$1/libsupport.a build/$1/libinside.a
	$$(call say,LD,$$@)
	$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS) $(WRAP) -pthread -o $$@ \
		-Wl,--whole-archive $$^ -Wl,--no-whole-archive $$(CHECK_LIBS) $$(THIRD_LIBS)
endef

empty =
tag_release =
$(foreach m,$(filter-out release,$(MODES)),$(eval tag_$m = $$(empty) [$m]))
$(foreach m,$(MODES),$(eval $(call mode_rules,$m)))

$(A): $(call objects,release,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SO): $(call objects,release,$(LIB_SRC)) lib/cloakroom.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) $(LINK_SO) -Wl,-soname,$(SONAME) \
		-Wl,--version-script=lib/cloakroom.map -pthread -o $@ $(filter %.o,$^) $(THIRD_LIBS)

build/release/$(SONAME): $(SO)
	$(Q)ln -sf $(REALNAME) $@
build/release/libcloakroom.so: build/release/$(SONAME)
	$(Q)ln -sf $(SONAME) $@

link_example = $(CC) $(CFLAGS_release) $(LDFLAGS) -pthread -o $@ $^ $(THIRD_LIBS)
$(EXAMPLE_MAIN:%.c=build/release/%): %: %.o \
		$(call objects,release,$(filter-out $(EXAMPLE_MAIN),$(EXAMPLE_SRC))) $(A)
	$(call say,LD,$@)
	$(Q)$(link_example)
$(CGI_MAIN:%.c=build/release/%): %: %.o \
		$(call objects,release,$(filter-out $(CGI_MAIN),$(CGI_SRC))) $(A)
	$(call say,LD,$@)
	$(Q)$(link_example)

BENCH_PLAIN = $(filter-out test/support/oom.c,$(SUPPORT_SRC)) $(filter-out $(BENCH_MAIN),$(BENCH_SRC))
$(BENCHES): %: %.o $(call objects,release,$(BENCH_PLAIN) $(LIB_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -pthread -o $@ $^ $(CHECK_LIBS) $(THIRD_LIBS)

FUZZERS = $(FUZZ:%=build/fuzz/%)
$(FUZZERS): %: %.o build/fuzz/libsupport.a build/fuzz/libinside.a
	$(call say,LD,$@)
	$(Q)$(CLANG) $(CFLAGS_fuzz) $(LDFLAGS_fuzz) $(LDFLAGS) $(WRAP) -pthread -o $@ \
		-Wl,--whole-archive $^ -Wl,--no-whole-archive $(CHECK_LIBS) $(THIRD_LIBS)

$(FUZZ:%=build/asan/%): %: %.o build/asan/test/fuzz/replay.o build/asan/libsupport.a \
		build/asan/libinside.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_asan) $(LDFLAGS) $(WRAP) -pthread -o $@ \
		-Wl,--whole-archive $^ -Wl,--no-whole-archive $(CHECK_LIBS) $(THIRD_LIBS)

# Every history of the protocol's models; they know nothing of the library.
MODEL_PROGRAMS = $(MODELS:%=build/test/test/models/%)
$(MODEL_PROGRAMS): %: %.o $(call objects,test,$(filter-out $(MODEL_MAIN),$(MODEL_SRC)))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_test) $(LDFLAGS) -o $@ $^

# prints the tables of options, metrics and events for README.md and for cloakroom.7
OPTIONS = build/release/tools/options
$(OPTIONS): %: %.o $(A)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -pthread -o $@ $^ $(THIRD_LIBS)

# One page for each exported function, and two on all. What each is made of is said in man.sh.
MAN = $(patsubst %,man3/%.3,$(shell sed -n 's/^\t*\(cloak_[a-z0-9_]*\);$$/\1/p' \
	lib/cloakroom.map)) man3/cloakroom.3 man7/cloakroom.7
build/man/man7/cloakroom.7: include/cloakroom.h examples/minimal.c $(wildcard tools/man/*) $(OPTIONS)
	$(call say,MAN,build/man)
	$(Q)tools/man/man.sh build/man $(OPTIONS)

.PHONY: tests FORCE
tests: $(call suites,test,$(SUITES)) ## build the test programs
FORCE:

# What each object was made from, as the compiler noted it.
-include $(wildcard build/*/*/*.d build/*/*/*/*.d)

# ---- install ------------------------------------------------------------------------------------

.PHONY: install uninstall
install: lib man ## install into PREFIX (/usr/local), LIBDIR, MANDIR; DESTDIR= stages
	$(Q)install -d '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(LIBDIR)/pkgconfig'
	$(Q)install -m 644 include/cloakroom.h '$(DESTDIR)$(INCLUDEDIR)/cloakroom.h'
	$(Q)install -m 644 $(A) '$(DESTDIR)$(LIBDIR)/libcloakroom.a'
	$(Q)install -m 755 $(SO) '$(DESTDIR)$(LIBDIR)/$(REALNAME)'
	$(Q)ln -sf $(REALNAME) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	$(Q)ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libcloakroom.so'
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
		-e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
		pkgconfig/cloakroom.pc.in > '$(DESTDIR)$(LIBDIR)/pkgconfig/cloakroom.pc'
	$(Q)chmod 644 '$(DESTDIR)$(LIBDIR)/pkgconfig/cloakroom.pc'
	$(Q)install -d '$(DESTDIR)$(MANDIR)/man3' '$(DESTDIR)$(MANDIR)/man7'
	$(Q)for f in $(MAN); do \
		install -m 644 build/man/$$f '$(DESTDIR)$(MANDIR)'/$$f || exit; done
	$(call say,INSTALLED,$(DESTDIR)$(PREFIX))

uninstall: ## remove what install put there, given the same settings
	$(Q)rm -f '$(DESTDIR)$(INCLUDEDIR)/cloakroom.h'
	$(Q)rm -f '$(DESTDIR)$(LIBDIR)/libcloakroom.a' '$(DESTDIR)$(LIBDIR)/libcloakroom.so'
	$(Q)rm -f '$(DESTDIR)$(LIBDIR)/$(SONAME)' '$(DESTDIR)$(LIBDIR)/$(REALNAME)'
	$(Q)rm -f '$(DESTDIR)$(LIBDIR)/pkgconfig/cloakroom.pc'
	$(Q)for f in $(MAN); do rm -f '$(DESTDIR)$(MANDIR)'/$$f; done

# ---- check --------------------------------------------------------------------------------------
# A check is made of parts. run/NAME runs one and leaves a note of what passed and failed in
# build/notes; the rest of the parts go on after a failure; at the end the notes are added up.
# A part whose program does not build leaves no note and so counts as failed.

NOTES ?= build/notes/single
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))

define run_parts
$(Q)rm -rf build/notes/$1
+$(Q)$(MAKE) --no-print-directory -k -Otarget $(jobs) NOTES=build/notes/$1 $(2:%=run/%) || true
$(Q)test/run.sh -t build/notes/$1 $2
endef

STATIC = check-layers check-symbols check-docs check-man check-readme check-install \
	check-security check-banned check-events check-format check-demo check-browsers \
	check-hiredis check-selftest
CMD_check-demo = bash test/checks/demo.sh build/release
CMD_check-browsers = bash test/checks/browsers.sh build/release
CMD_check-layers = sh test/checks/layers.sh
CMD_check-symbols = sh test/checks/symbols.sh $(SO)
CMD_check-docs = sh test/checks/docs.sh
CMD_check-man = sh test/checks/man.sh $(SO) $(OPTIONS)
CMD_check-readme = sh test/checks/readme.sh $(OPTIONS)
CMD_check-install = env MAKE='$(MAKE)' CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' \
	sh test/checks/install.sh
CMD_check-security = sh test/checks/security.sh
CMD_check-banned = sh test/checks/banned.sh
CMD_check-events = sh test/checks/events.sh
CMD_check-format = sh test/checks/format.sh
CMD_check-hiredis = env MAKE='$(MAKE)' HIREDIS_PREFIX='$(HIREDIS_PREFIX)' \
	sh test/checks/hiredis.sh
CMD_check-selftest = env MAKE='$(MAKE)' CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' \
	sh test/checks/selftest.sh $(SO) $(OPTIONS)

.PHONY: check check-fast $(STATIC)
FAST_PARTS = $(UNIT) $(WIRE) check-layers check-symbols check-banned check-events check-format
# What takes longest goes first, so that the rest fits in beside it.
LONG = $(filter $(addprefix test/,live_contract live_proxy live_counter wire_dial wire_race \
	live_replicas live_ring_change live_process wire_silence),$(SUITES))
CHECK_PARTS = check-hiredis $(foreach s,$(LONG),$s asan/$s) build $(LIVE:%=asan/%) $(LIVE) \
	check-install check-selftest check-demo $(SUITES:%=asan/%) $(UNIT) $(WIRE) $(MODELS:%=models/%) clang $(FUZZ:test/fuzz/fuzz_%=fuzz/%) \
	$(filter-out check-hiredis check-install check-selftest,$(STATIC)) $(if $(wildcard examples/demo.sh),demo)

check: ## run everything: static checks, all tests, sanitizers, fuzz seeds, install, demo
	$(Q)tools/deps.sh test demo
	$(call run_parts,check,$(call uniq,$(CHECK_PARTS)))

check-fast: ## run what needs no server, in seconds
	$(call run_parts,fast,$(FAST_PARTS))

uniq = $(if $1,$(firstword $1) $(call uniq,$(filter-out $(firstword $1),$1)))

check-layers: ## includes go downwards only, third-party headers stay at home
check-symbols: ## header, version script and shared library export the same
check-docs: ## every exported function is documented in full
check-man: ## the man pages show what the library exports, and as the header does
check-readme: ## tables, program, links and targets in README.md are right
check-install: ## install, build against it, uninstall
check-security: ## which security requirements have a test
check-banned: ## functions the library and its tests do without
check-events: ## log events: one table of names, nothing is logged past it
check-format: ## the code is as clang-format 14 would write it
check-demo: ## the demo, interrupted at many moments, leaves nothing behind
check-browsers: ## what curl and Chromium, if it is there, do with cookies over http
check-hiredis: ## builds with hiredis 1.x, of HIREDIS_PREFIX= or of a later Debian, and runs so
check-selftest: ## each of these checks can fail

check-symbols run/check-symbols: $(SO)
check-man run/check-man: $(SO) $(OPTIONS)
check-readme run/check-readme: $(OPTIONS)
check-install run/check-install: lib man
check-demo run/check-demo check-browsers run/check-browsers: $(EXAMPLES)
check-selftest run/check-selftest: lib $(OPTIONS)

$(STATIC):
	+$(Q)$(CMD_$@)
$(STATIC:%=run/%): run/%:
	+$(Q)test/run.sh $(NOTES) $* $(CMD_$*)

run/build: lib $(EXAMPLES) $(BENCHES)
run/clang: $(call objects,clang,$(LIB_SRC) $(SUPPORT_SRC) $(SUITES:%=%.c) $(FUZZ:%=%.c) $(MODEL_SRC) \
	test/fuzz/replay.c $(EXAMPLE_SRC) $(CGI_SRC) $(BENCH_SRC) tools/options.c)
run/build run/clang:
	$(Q)test/run.sh $(NOTES) $(@F) true

run/demo: lib $(EXAMPLES)
	$(Q)test/run.sh $(NOTES) demo env CI=true examples/demo.sh

# The seeds once through each target, without libFuzzer and so by any compiler.
$(FUZZ:test/fuzz/fuzz_%=run/fuzz/%): run/fuzz/%: build/asan/test/fuzz/fuzz_%
	$(Q)test/run.sh $(NOTES) fuzz/$* $(RUN_asan) $< test/fuzz/corpus/$*

$(MODELS:%=run/models/%): run/models/%: build/test/test/models/%
	$(Q)test/run.sh $(NOTES) models/$* $<

# The suites, as run/test/x in mode test and as run/<mode>/test/x in the others.
define suite_rules
$(patsubst %,run/$2%,$(SUITES)): run/$2%: build/$1/%
	$(Q)test/run.sh -s $$(NOTES) $2$$* $$(RUN_$1) $$<
endef
$(eval $(call suite_rules,test,))
$(foreach m,asan tsan valgrind,$(eval $(call suite_rules,$m,$m/)))

# ---- variants -----------------------------------------------------------------------------------

.PHONY: asan tsan valgrind models fuzz soak bench bench-chart demo
asan: ## run the tests under AddressSanitizer and UBSan
	$(Q)tools/deps.sh test
	$(call run_parts,asan,$(SUITES:%=asan/%))

tsan: ## run the tests under ThreadSanitizer
	$(Q)tools/deps.sh test
	$(call run_parts,tsan,$(SUITES:%=tsan/%))

valgrind: ## run the tests under valgrind
	$(Q)tools/deps.sh valgrind
	$(call run_parts,valgrind,$(SUITES:%=valgrind/%))

models: $(MODEL_PROGRAMS) ## explore the models of the protocol, print the histories that need its rules
	$(Q)for m in $(MODEL_PROGRAMS); do $$m || exit; done

fuzz: ## look for new inputs: F=record T=60 (seconds)
	$(Q)tools/deps.sh test fuzz
	+$(Q)$(MAKE) --no-print-directory build/fuzz/test/fuzz/fuzz_$(F)
	$(Q)mkdir -p build/fuzz/corpus/$(F) build/fuzz/findings
	$(Q)build/fuzz/test/fuzz/fuzz_$(F) -max_total_time=$(T) -timeout=10 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/findings/$(F)- build/fuzz/corpus/$(F) \
		$(wildcard test/fuzz/corpus/$(F))

SOAK = live_proxy live_counter live_process wire_silence test_interleave live_interleave \
	test_stateful live_stateful
soak: ## run the seeded suites with ever new seeds: S=600 (seconds) M=test (or asan, tsan)
	$(Q)tools/deps.sh test
	+$(Q)$(MAKE) -s --no-print-directory $(SOAK:%=build/$(M)/test/%)
	$(Q)$(RUN_$(M)) test/soak.sh build/$(M)/test $(S) $(SEED)

bench: ## measure in two minutes; the figures go to build/bench/results.tsv
	$(Q)tools/deps.sh test
	+$(Q)$(MAKE) --no-print-directory run/build NOTES=build/notes/bench
	$(Q)mkdir -p build/bench
	$(Q)build/release/test/bench/bench -o build/bench -l $(SO)

bench-chart: ## draw test/bench/threads.svg of the figures that bench left
	$(Q)mkdir -p build/bench
	$(Q)sh test/bench/chart.sh build/bench > build/bench/threads.svg
	$(Q)cp build/bench/threads.svg test/bench/threads.svg
	$(call say,DRAWN,test/bench/threads.svg)

demo: ## show sessions in a browser, served by lighttpd from a Redis of its own
	$(Q)tools/deps.sh build demo
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)examples/demo.sh

# ---- dist ---------------------------------------------------------------------------------------

C_FILES = $(wildcard include/*.h include/cloakroom/*.h lib/*.[ch] examples/*.[ch] \
	examples/cgi/*.[ch] tools/*.[ch] test/*.[ch] test/*/*.[ch])

.PHONY: format readme dist clean help
format: ## rewrite the code as clang-format 14 would
	$(Q)clang-format -i $(C_FILES)

readme: $(OPTIONS) ## bring tables and program in README.md up to date
	$(Q)sh test/checks/readme.sh --update $(OPTIONS)

dist: ## pack the last commit as build/cloakroom-<version>.tar.gz
	$(Q)mkdir -p build
	$(Q)git archive --format=tar --prefix=cloakroom-$(VERSION)/ HEAD | gzip -n9 \
		> build/cloakroom-$(VERSION).tar.gz
	$(call say,PACKED,build/cloakroom-$(VERSION).tar.gz)

clean: ## remove all that was built
	$(Q)rm -rf build

help: ## show this
	@echo 'cloakroom $(VERSION). Targets (V=1 shows the commands):'
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | \
		awk -F '\t' '{ printf "  %-15s %s\n", $$1, $$2 }'
