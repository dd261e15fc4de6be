# make            builds build/release/rma-coordinator
# make run        installs what is missing, builds, starts the coordinator on port 8080 with its own Redis
# make test       installs what is missing, builds and passes every test
# make quick      what to run while you work: the fast tests and gates
# make browser    the dashboard's tests in Chromium
# make check      the fast gates: format, lint, dependencies, scripts
# make bench      the figures of docs/performance.md, measured here
# make fuzz       the parsers' fuzzers, FUZZ_SECONDS each
# make models     proves the models of a worker, a task and the link to Redis
# make chaos      tasks while everything breaks, for CHAOS_SECONDS (60; an hour before a release);
#                 CHAOS_SENTINEL=1: Redis fails over, too
# make format     formats the sources
# make install    installs the program, its man page, systemd unit and what else an operator needs: PREFIX (/usr/local), DESTDIR
# make image      builds the container images with the Docker engine that is there
# make test-image brings them up, hurts them and looks at what is left
# make endurance  everything at once at full speed, for ENDURANCE_SECONDS (3600), in the MODE
# make soak       a simulated week, SOAK_DAYS (7), and its report in docs/reliability.md
# MODE=asan       builds with clang, AddressSanitizer and UndefinedBehaviorSanitizer, under build/asan
# MODE=tsan       builds with clang and ThreadSanitizer, under build/tsan

MODE ?= release
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
BUILD := build/$(MODE)
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
COMMIT ?= $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)

BUILD_PACKAGES := gcc make libc6-dev pkg-config lua5.1 libh2o-evloop-dev libssl-dev libjwt-dev libcrypt-dev libhiredis-dev \
	libcjson-dev libcurl4-openssl-dev redis-server curl
TEST_PACKAGES := $(BUILD_PACKAGES) clang llvm clang-format clang-tidy libclang-rt-14-dev libcmocka-dev lua-check shellcheck \
	python3-pytest python3-pytest-xdist python3-redis python3-jsonschema python3-requests python3-jwt python3-cryptography \
	redis-tools stunnel4 iproute2 caddy chromium docker-compose haproxy mandoc nginx-light prometheus python3-yaml spin \
	systemd yamllint
# Node.js from elsewhere comes with an npm of its own, which Debian's would replace.
TEST_PACKAGES += $(if $(shell command -v npm 2>/dev/null),,nodejs npm)
BENCH_PACKAGES := $(BUILD_PACKAGES) wrk redis-tools beanstalkd nginx-light python3 python3-redis \
	$(if $(shell command -v npm 2>/dev/null),,nodejs npm)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror
# libh2o's pkg-config file leaves out the define that says which loop it was built with.
CPPFLAGS += -D_GNU_SOURCE -DH2O_USE_LIBUV=0 -Isrc -I$(BUILD)/gen -isystem $(LLHTTP_DIR)/share/include/llhttp
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
CC_release := gcc
CC_asan := clang
CC_tsan := clang
CC_fuzz := clang
CC := $(CC_$(MODE))
CFLAGS := -std=c11 -pthread $(WARNINGS) $(CFLAGS_$(MODE))
LDFLAGS := -pthread $(filter -fsanitize%,$(CFLAGS_$(MODE)))
LDLIBS := -lh2o-evloop -lssl -ljwt -lcrypto -lcrypt -lhiredis -lcjson -lm

# libh2o leaks 88 bytes of its own at the end (h2o_multithread_create_queue).
SANITIZERS := LSAN_OPTIONS=suppressions=tests/lib/lsan.supp:print_suppressions=0
PYTEST := /usr/bin/python3 -m pytest
# Where the workers of "make run" are that requests are passed on to.
NEAR_NETWORKS := 127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7
# Each test has a Redis and coordinators of its own, and waits more than it works: five for two cores.
AT_ONCE := -n $(shell echo $$(((5 * $$(nproc) + 1) / 2)))

SOURCES := $(wildcard src/*/*.c)
# The parser of workers' answers, llhttp: Debian has its C source in a package for Node.js, which would bring Node.js along. So
# where that is not installed, the package is only unpacked.
LLHTTP_DIR := $(if $(wildcard /usr/share/llhttp/llhttp.c),/usr,build/node-llhttp/usr)
LLHTTP := $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/%.o) $(BUILD)/gen/scripts.o $(BUILD)/gen/embedded.o $(BUILD)/gen/commit.o $(LLHTTP)
SERVED := src/api/openapi.json src/api/docs.html src/dashboard/index.html src/model/catalogue.json
SCRIPTS := $(wildcard lua/*.lua) $(wildcard lua/lib/*.lua)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

all: $(BUILD)/rma-coordinator
	@:

$(BUILD)/rma-coordinator: $(BUILD)/main.o $(OBJECTS)
	@echo '  $(CC)  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: src/%.c | $(BUILD)/gen/scripts.h
	@mkdir -p $(@D)
	@echo '  $(CC)  $@'
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/llhttp/%.o: $(LLHTTP_DIR)/share/llhttp/%.c
	@mkdir -p $(@D)
	@echo '  $(CC)  $@'
	@$(CC) -I$(LLHTTP_DIR)/share/include/llhttp -std=c11 $(CFLAGS_$(MODE)) -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@echo '  $(CC)  $@'
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/scripts.c: $(BUILD)/gen/scripts.h ;
$(BUILD)/gen/scripts.h: lua/embed.lua $(SCRIPTS)
	@mkdir -p $(@D)
	@lua5.1 lua/embed.lua $(@D) $(sort $(filter-out lua/embed.lua,$(wildcard lua/*.lua)))

# Written anew when it changes, which is not when the file is older than something.
$(BUILD)/gen/commit.c: FORCE
	@mkdir -p $(@D)
	@echo '#include "instance/instance.h"' >$@.new
	@echo 'const char instance_commit[] = "$(COMMIT)";' >>$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

FORCE:

$(BUILD)/gen/embedded.c: src/api/embed.lua $(SERVED) $(wildcard src/dashboard/*.css src/dashboard/*.js)
	@mkdir -p $(@D)
	@lua5.1 src/api/embed.lua $@ $(SERVED)

$(BUILD)/tests/unit/%: tests/unit/%.c $(OBJECTS)
	@mkdir -p $(@D)
	@echo '  $(CC)  $@'
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(OBJECTS) -lcmocka $(LDLIBS)

$(BUILD)/tests/bench/%: tests/bench/%.c tests/bench/load.h
	@mkdir -p $(@D)
	@echo '  $(CC)  $@'
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -lm

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/must.h $(OBJECTS)
	@mkdir -p $(@D)
	@echo '  $(CC)  $@'
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(OBJECTS) $(LDLIBS)

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(BUILD)/tests/unit/*.d)

# Installs those packages of a list that are missing, as root or through sudo, and says so.
define install
	@missing=$$(for package in $(1); do \
	    dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing Debian packages:" $$missing; \
	    [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq && \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
endef

build-packages: llhttp
	$(call install,$(BUILD_PACKAGES))

llhttp:
	@if [ ! -f /usr/share/llhttp/llhttp.c ] && [ ! -f build/node-llhttp/usr/share/llhttp/llhttp.c ]; then \
	    echo "unpacking Debian package: node-llhttp"; mkdir -p build/node-llhttp && cd build/node-llhttp && \
	    { [ "$$(id -u)" = 0 ] || sudo=sudo; $$sudo apt-get update -qq; apt-get download -qq node-llhttp; } && \
	    dpkg-deb -x node-llhttp_*.deb .; \
	fi

test-packages: llhttp
	$(call install,$(TEST_PACKAGES))

bench-packages: llhttp
	$(call install,$(BENCH_PACKAGES))

run: build-packages
	@$(MAKE) --no-print-directory all
	@UPSTREAM_ALLOW="$${UPSTREAM_ALLOW-$(NEAR_NETWORKS)}" LOG_FORMAT=text exec $(BUILD)/rma-coordinator

units: $(UNIT_TESTS)
	@set -e; for test in $(UNIT_TESTS); do echo "== $$test"; $(SANITIZERS) $$test; done

# What would catch a pointer kept over a request's disposal must be seen to catch one.
lifetimes: $(BUILD)/tests/unit/test_pending
	@if NAIVE=1 $< >$(BUILD)/naive.log 2>&1 || ! grep -q 'heap-use-after-free' $(BUILD)/naive.log; then \
	    echo "a naive pointer over a disposal was not caught; see $(BUILD)/naive.log"; exit 1; fi
	@echo "lifetimes ok: a naive pointer over a disposal is caught"

test: test-packages
	@$(MAKE) --no-print-directory all units
	@$(MAKE) --no-print-directory MODE=asan all units lifetimes
	@$(MAKE) --no-print-directory check models
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory $(call modules,kubernetes openai)
	@MODE=release $(PYTEST) $(AT_ONCE) $(sort tests/lua $(QUICK) $(RELEASED))
	@MODE=release $(PYTEST) -n 3 tests/chaos tests/soak tests/endurance
	@MODE=asan $(PYTEST) $(AT_ONCE) tests/system

# While one works: under two minutes on two cores when little has changed.
QUICK := tests/lua/test_scripts.py tests/lua/test_event_scripts.py $(patsubst %,tests/system/test_%.py,addresses bulk conflicts \
    conventions discovery drain edge endpoints hardware identity live_workers old_shapes)
# All system tests run with the sanitizers. What is shipped runs the quick ones, and those that measure memory or that install it.
RELEASED := $(patsubst %,tests/system/test_%.py,events fly hostile_clients install life passing_streams redis_failure threads)
QUICK_GATES := format fuzzers banned deps size shell yaml length columns top links
quick: test-packages
	@$(MAKE) --no-print-directory all units
	@tests/check.sh $(QUICK_GATES)
	@MODE=release $(PYTEST) $(AT_ONCE) $(QUICK)

# npm packages: those of the browser tests, the gate of the scripts and the benchmark, and the schemas of Kubernetes objects. The
# lock files name them. npm writes this file last: the directory is there after a failure, too.
modules = $(patsubst %,tests/%/node_modules/.package-lock.json,$(1))
tests/%/node_modules/.package-lock.json: tests/%/package-lock.json
	@cd tests/$* && npm ci --no-audit --no-fund --loglevel=error --ignore-scripts
	@touch $@

# A browser for each file of tests, as many at once as there are cores. What has failed is printed last.
browser: test-packages
	@$(MAKE) --no-print-directory all $(call modules,browser)
	@rm -rf $(BUILD)/browser; mkdir -p $(BUILD)/browser
	@ls tests/browser/*.test.mjs | xargs -P $$(nproc) -I{} sh -c 'log=$(BUILD)/browser/$$(basename {}); \
	    node --test --test-reporter=spec {} >$$log 2>&1 && cat $$log || mv $$log $$log.failed'
	@! cat $(BUILD)/browser/*.failed 2>/dev/null

check: test-packages
	@$(MAKE) --no-print-directory all $(call modules,browser)
	@tests/check.sh
	@tests/check.sh --bad

bench: bench-packages
	@$(MAKE) --no-print-directory all $(BUILD)/tests/bench/tasks $(BUILD)/tests/bench/paced $(call modules,bench/peer)
	@/usr/bin/python3 tests/bench/bench.py $(BENCH_OPTIONS)

models: test-packages
	@tests/models/run.sh

chaos: test-packages
	@$(MAKE) --no-print-directory all
	@MODE=$(MODE) $(PYTEST) -s tests/chaos

endurance: test-packages
	@$(MAKE) --no-print-directory all
	@MODE=$(MODE) ENDURANCE_SECONDS=$(or $(ENDURANCE_SECONDS),3600) $(PYTEST) -s tests/endurance

soak: test-packages
	@$(MAKE) --no-print-directory all
	@MODE=$(MODE) SOAK_DAYS=$(or $(SOAK_DAYS),7) $(PYTEST) -s tests/soak

fuzz: test-packages
	@$(MAKE) --no-print-directory MODE=fuzz fuzz-run

fuzz-run: $(FUZZERS)
	@set -e; for fuzzer in $(FUZZERS); do name=$${fuzzer##*/fuzz_}; mkdir -p $(BUILD)/corpus/$$name; echo "== $$name"; \
	    $$fuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=20000 -timeout=5 -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/ $(BUILD)/corpus/$$name tests/fuzz/corpus/$$name; done

# What a machine needs to run it; PREFIX is where it will be, DESTDIR where the files go now.
install: all
	@install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/man/man8 share/doc/rma-coordinator/docs lib/systemd/system)
	install -m 755 $(BUILD)/rma-coordinator $(DESTDIR)$(PREFIX)/bin/
	install -m 755 deploy/backup.sh $(DESTDIR)$(PREFIX)/bin/rma-coordinator-backup
	install -m 755 deploy/restore.sh $(DESTDIR)$(PREFIX)/bin/rma-coordinator-restore
	install -m 644 deploy/rma-coordinator.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 README.md LICENSE deploy/redis.conf $(DESTDIR)$(PREFIX)/share/doc/rma-coordinator/
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/rma-coordinator/docs/
	sed 's|@BINDIR@|$(PREFIX)/bin|' deploy/rma-coordinator.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/rma-coordinator.service
	@chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/rma-coordinator.service

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/rma-coordinator bin/rma-coordinator-backup bin/rma-coordinator-restore \
	    share/man/man8/rma-coordinator.8 lib/systemd/system/rma-coordinator.service)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/rma-coordinator

# The images, with a Docker engine: the one that answers, else one that runs for as long as this takes.
image:
	@deploy/image.sh build

image-packages:
	@deploy/image.sh packages

test-image: test-packages
	@$(MAKE) --no-print-directory all
	@deploy/image.sh test

format:
	@clang-format -i $$(git ls-files 'src/*.[ch]' 'src/*/*.[ch]' 'tests/unit/*.[ch]' 'tests/fuzz/*.[ch]' 'tests/lib/*.c' \
	    'tests/bench/*.c')

clean:
	rm -rf build tests/*/node_modules tests/bench/peer/node_modules

.PHONY: all llhttp run test quick check models chaos endurance soak browser bench fuzz fuzz-run format clean install uninstall \
	image image-packages test-image units lifetimes build-packages test-packages bench-packages FORCE
.DELETE_ON_ERROR:
.SECONDARY:
