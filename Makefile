# Picket: sensor, collector, and the command for people.
#
#   make            the four programs in build/
#   make demo       the main job for real, from packets to Redis, in a minute
#   make demo-partners  two organisations that share indicators and sightings both ways
#   make test       everything that is checked; SAN=address,undefined for sanitizers
#   make fuzz       coverage-guided fuzzing, FUZZ_SECONDS=60 for each target (clang)
#   make torture    FAULTS=1000 faults between sensor, collector and Redis; every count must be exact
#   make flood      FLOWS=10000000 through picket scan: memory, and every needle found
#   make mutate     PACKETS=5000000 changed packets through a build with sanitizers
#   make fail       each malloc, open, read, write, fsync, rename fails once
#   make coverage   lines of our code that the tests run, file by file
#   make fuzz-coverage  lines that each fuzz target's own corpus runs of the files it is for, at least 85 %
#   make evade      traffic that is made to be read in two ways
#   make help       all targets
#
# A room is a folder with its archive: sensor and collector use rules, rules uses
# common. The link order below and tests/lint.sh keep it so. A program is a file
# named in PROGRAMS; a unit test is any tests/unit/test_*.c, a fuzz target any
# tests/fuzz/fuzz_*.c: nothing needs to be listed twice.

SAN   ?=
comma := ,
BUILD ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
CC    ?= cc
V     ?= 0
Q     := $(if $(filter 0,$(V)),@,)

prefix  ?= /usr/local
DESTDIR ?=

VERSION := 0.1.0
.DEFAULT_GOAL := all

LIBS := libpcap libndpi libhs hiredis yaml-0.1 libssl libcrypto jansson yajl zlib libbrotlidec libzstd \
        libidn2 libpsl libxxhash libisal libnghttp2 libcap-ng libseccomp libsystemd libevent_core libevent_extra libevent_openssl libcurl
PKG_CFLAGS := $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lcrypt

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
        -Wwrite-strings -Wvla -Wundef -Wimplicit-fallthrough -Wformat=2 -Wno-format-nonliteral -Werror=format-security \
        $(if $(SAN),,-Wconversion)
HARDEN := $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 $(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero)) \
        -fstack-protector-strong -fstack-clash-protection $(if $(filter x86_64,$(shell uname -m)),-fcf-protection=full) -fPIE
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) $(HARDEN) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=undefined -fno-omit-frame-pointer) \
        -I. -ffile-prefix-map=$(CURDIR)=. -DPICKET_VERSION='"$(VERSION)"' $(PKG_CFLAGS) -MMD -MP
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

PROGRAMS := picket-sensor picket-collector picket-gateway picket
MAIN_picket-sensor    := sensor/picket-sensor.c
MAIN_picket-collector := collector/picket-collector.c
MAIN_picket-gateway   := collector/picket-gateway.c
MAIN_picket           := sensor/picket.c
MAINS := $(foreach p,$(PROGRAMS),$(MAIN_$(p)))

ROOMS := common rules sensor collector
src_of = $(filter-out $(MAINS),$(wildcard $(1)/*.c))
obj_of = $(patsubst %.c,$(BUILD)/%.o,$(call src_of,$(1)))
# Upper rooms first: the linker resolves downwards only.
ARCHIVES := $(BUILD)/sensor.a $(BUILD)/collector.a $(BUILD)/rules.a $(BUILD)/common.a

UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: coverage coverage-run fuzz-coverage fuzz-coverage-run system-all fail fail-short flood flood-short mutate mutate-run mutate-short evade man torture fuzz fuzz-run all help deps test demo check lint format install clean unit unit-built fuzz-replay system golden cases bench bench-short
.DELETE_ON_ERROR:

all: $(addprefix $(BUILD)/,$(PROGRAMS))

help:
	@sed -n 's/^#  \{1,\}make/  make/p' Makefile
	@echo '  make install DESTDIR= prefix=   programs, man pages, units, examples'
	@echo '  make unit | golden | system | fuzz-replay | lint   parts of make test'
	@echo '  make format     lay the code out; make man: the configuration pages anew; make clean'

# Rebuild when the flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS)' > $@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC    $<')
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

define room
$(BUILD)/$(1).a: $(call obj_of,$(1))
	@rm -f $$@
	$(if $(Q),@echo '  AR    $$@')
	$(Q)ar rcsD $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

define program
$(BUILD)/$(1): $(patsubst %.c,$(BUILD)/%.o,$(MAIN_$(1))) $(ARCHIVES)
	$(if $(Q),@echo '  LINK  $$@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$^ $(PKG_LIBS) -pthread -lm
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(ARCHIVES)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -pthread -lm

$(BUILD)/tests/torture/driver: $(BUILD)/tests/torture/driver.o $(ARCHIVES)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -pthread -lm

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(ARCHIVES)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -pthread -lm

# A fuzz target replays the corpus folder that it is given; with FUZZER=1 (clang)
# it is coverage-guided instead: make fuzz, or make fuzz FUZZ=build-fuzz/tests/fuzz/fuzz_dns
FUZZ_MAIN := $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o)
FUZZ_SECONDS ?= 60
$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(ARCHIVES)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) -o $@ $^ $(PKG_LIBS) -pthread -lm

fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang FUZZER=1 SAN=fuzzer-no-link,address,undefined BUILD=build-fuzz fuzz-run

fuzz-run: $(FUZZ)
	$(Q)set -e; for f in $(FUZZ); do n=$${f##*/fuzz_}; mkdir -p $(BUILD)/corpus/$$n; \
		echo "fuzz: $$n for $(FUZZ_SECONDS) s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix=$(BUILD)/ $(BUILD)/corpus/$$n tests/fuzz/corpus/$$n >$(BUILD)/fuzz-$$n.log 2>&1 \
		|| { tail -n 40 $(BUILD)/fuzz-$$n.log; exit 1; }; \
		grep -E 'number_of_executed_units|cov:' $(BUILD)/fuzz-$$n.log | tail -n 2; done

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# What a person calls: brings in what is missing, then does the work in a second
# make, which then finds the libraries.
deps:
	$(Q)deploy/deps.sh build

test:
	$(Q)deploy/deps.sh test
	$(Q)$(MAKE) --no-print-directory check

demo:
	$(Q)deploy/deps.sh demo
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)deploy/demo/demo.sh $(BUILD)

# Two organisations with two gateways and four sensors, exchanging both ways.
demo-partners:
	$(Q)deploy/deps.sh demo
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)deploy/demo/partners.sh $(BUILD)

# The parts of make test, in the order in which they fail most cheaply.
check: lint
	$(Q)$(MAKE) --no-print-directory -j2 all unit-built
	$(Q)$(MAKE) --no-print-directory unit fuzz-replay golden evade flood-short mutate-short fail-short system cases bench-short
	@echo 'make test: all passed'

lint:
	$(Q)tests/lint.sh

unit-built: $(ARCHIVES) $(UNIT) $(FUZZ)

unit: $(ARCHIVES) $(UNIT)
	$(Q)rm -f $(BUILD)/observed
	$(Q)OBSERVED=$(abspath $(BUILD))/observed tests/run-unit.sh $(UNIT)
	$(Q)tests/protocols.py $(abspath $(BUILD))/observed

fuzz-replay: $(FUZZ)
	$(Q)set -e; for f in $(FUZZ); do "$$f" tests/fuzz/corpus/$${f##*/fuzz_}; done

golden: all
	$(Q)tests/golden.sh $(BUILD)

# Evasion: what Picket decides where receivers differ (tests/hostile/evade.py --list).
evade: all
	$(Q)tests/hostile/evade.py $(BUILD)

$(BUILD)/tests/hostile/%: $(BUILD)/tests/hostile/%.o
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpcap

$(BUILD)/tests/hostile/spool_calls: $(BUILD)/tests/hostile/spool_calls.o $(ARCHIVES)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -pthread -lm

$(BUILD)/tests/hostile/%.so: tests/hostile/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g $(WARN) -fPIC -shared -o $@ $< -ldl

# Calls that fail, one after the other; make test tries few. Not under sanitizers: they
# have the allocator for themselves.
CALLS ?= 2000
fail: all $(BUILD)/tests/hostile/fail.so $(BUILD)/tests/hostile/spool_calls
	$(Q)$(if $(SAN),echo 'fail: not under sanitizers',tests/hostile/fail.py $(BUILD) $(CALLS))

fail-short:
	$(Q)$(MAKE) --no-print-directory fail CALLS=12

# Lines of our code that the tests run; system tests, too, with SYSTEM=1. Without the
# sandbox, which denies what gcov does at the end of a process: its tests fail here, and are
# named. So is what is too slow for its own limits of time.
COVERAGE = $(MAKE) --no-print-directory BUILD=build-coverage CFLAGS='-O1 -g --coverage' LDFLAGS=--coverage
coverage:
	+$(Q)$(COVERAGE) coverage-run

# Each fuzz target alone. CORPORA=folder: more inputs, as make fuzz leaves them in build-fuzz/corpus.
fuzz-coverage:
	+$(Q)$(COVERAGE) fuzz-coverage-run

fuzz-coverage-run: $(FUZZ)
	$(Q)tests/hostile/coverage.py $(BUILD) --targets $(CORPORA)

coverage-run: all unit-built $(BUILD)/tests/hostile/unconfined.so
	$(Q)find $(BUILD) -name '*.gcda' -delete
	$(Q)export LD_PRELOAD=$(CURDIR)/$(BUILD)/tests/hostile/unconfined.so; \
		$(MAKE) --no-print-directory -k unit fuzz-replay golden evade flood-short mutate-short $(if $(SYSTEM),system-all) >$(BUILD)/coverage.log 2>&1 || \
		grep -E 'FAIL|^test_|Error' $(BUILD)/coverage.log
	$(Q)tests/hostile/coverage.py $(BUILD)

# Captures with errors in them; make test tries few, without sanitizers unless SAN says so.
PACKETS ?= 5000000
mutate:
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined mutate-run

mutate-run: all $(BUILD)/tests/hostile/mutate
	$(Q)tests/hostile/mutate.py $(BUILD) $(PACKETS) "$(SEED)"

mutate-short: all $(BUILD)/tests/hostile/mutate
	$(Q)tests/hostile/mutate.py $(BUILD) 200000 "$(SEED)"

# Floods of 19 kinds; make test sends few.
FLOWS ?= 10000000
flood: all $(BUILD)/tests/hostile/flood
	$(Q)tests/hostile/flood.py $(BUILD) $(FLOWS) $(KINDS)

flood-short: all $(BUILD)/tests/hostile/flood
	$(Q)tests/hostile/flood.py $(BUILD) 200000

system: all $(BUILD)/tests/torture/driver $(BUILD)/tests/hostile/flood $(addprefix $(BUILD)/tests/bench/,bench_collector bench_sets generate send sets)
	$(Q)set -e; for t in tests/system/test_*.sh; do "$$t" $(BUILD); done

# The same, also behind one that fails.
system-all: all $(BUILD)/tests/torture/driver $(BUILD)/tests/hostile/flood $(addprefix $(BUILD)/tests/bench/,bench_collector bench_sets generate send sets)
	$(Q)for t in tests/system/test_*.sh; do timeout 600 "$$t" $(BUILD) || echo "$$t: FAILED"; done

# Faults against the whole way from the sensor to Redis; SEED=n repeats a campaign.
FAULTS  ?= 1000
MINUTES ?= 60
torture: all $(BUILD)/tests/torture/driver
	$(Q)tests/torture/torture.py --build $(BUILD) --faults $(FAULTS) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

BENCH := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/*.c))

# How fast, beside ndpiReader and a bare pcap_loop; BENCH_SCALE=4 for larger corpora.
bench: all $(BENCH)
	$(Q)tests/bench/bench.sh $(BUILD)
	$(Q)tests/bench/bench_collector.sh $(BUILD)
	$(Q)tests/bench/bench_taxii.sh $(BUILD)
	$(Q)tests/bench/bench_partners.sh $(BUILD)

# That the bench runs and finds what it planted, and the instructions of a packet.
bench-short: all $(BENCH)
	$(Q)tests/bench/bench.sh $(BUILD) short
	$(Q)tests/bench/bench_taxii.sh $(BUILD) 5000 >$(BUILD)/bench-taxii.txt

# Real and malformed captures, judged when they are there.
cases: all
	$(Q)tests/cases.sh $(BUILD)
	$(Q)tests/hostile/decoys.sh $(BUILD) ../shared 50000 4
	$(Q)tests/robust.sh $(BUILD)

format:
	clang-format -i $(wildcard $(addsuffix /*.[ch],$(ROOMS)) tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch] tests/hostile/*.c)

# The two pages on configuration, anew from the programs' tables of keys.
man: all
	$(Q)for p in picket-sensor picket-collector picket-gateway; do \
		$(BUILD)/$$p --dump-config 2>/dev/null | deploy/man/conf-man.sh $$p >deploy/man/$$p.yaml.5; done

SHARE = $(DESTDIR)$(prefix)/share
DOC   = $(SHARE)/doc/picket
install: all
	install -d $(DESTDIR)$(prefix)/bin $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/man/man8 $(DOC)/examples \
		$(SHARE)/bash-completion/completions $(DESTDIR)$(prefix)/lib/systemd/system \
		$(DESTDIR)$(prefix)/lib/sysusers.d $(DESTDIR)$(prefix)/lib/tmpfiles.d
	install -m 755 $(addprefix $(BUILD)/,$(PROGRAMS)) $(DESTDIR)$(prefix)/bin
	for n in 1 5 8; do install -m 644 deploy/man/*.$$n $(SHARE)/man/man$$n || exit; done
	install -m 644 README.md collector/redis-schema.md deploy/THREATS.md $(DOC)
	install -m 644 rules/README.md $(DOC)/rules.md
	install -m 644 deploy/*.yaml deploy/redis/* deploy/grafana/picket.json deploy/demo/rules.yaml deploy/demo/recorded.pcap $(DOC)/examples
	install -d $(DOC)/examples/collections $(DOC)/examples/partners $(DOC)/examples/feeds
	install -m 644 deploy/feeds/*.yaml $(DOC)/examples/feeds
	install -m 644 deploy/collections/*.yaml $(DOC)/examples/collections
	install -m 644 deploy/partners/*.yaml $(DOC)/examples/partners
	install -m 644 deploy/systemd/redis-check-aof.conf $(DOC)/examples
	install -m 755 deploy/make-test-ca.sh deploy/make-csr.sh deploy/local.sh deploy/free-port.sh $(DOC)/examples
	install -m 644 deploy/completion/picket.bash $(SHARE)/bash-completion/completions/picket
	for u in sensor collector gateway; do sed 's|=/usr/bin/|=$(prefix)/bin/|' deploy/systemd/picket-$$u.service \
		>$(DESTDIR)$(prefix)/lib/systemd/system/picket-$$u.service || exit; done
	install -m 644 deploy/systemd/picket.sysusers $(DESTDIR)$(prefix)/lib/sysusers.d/picket.conf
	install -m 644 deploy/systemd/picket.tmpfiles $(DESTDIR)$(prefix)/lib/tmpfiles.d/picket.conf

clean:
	rm -rf build build-*
