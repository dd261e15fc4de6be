#!/bin/sh
# The fast gates.
#
#   tests/check.sh [GATE…]          runs all gates, or those named, on the project
#   tests/check.sh --bad [GATE…]    shows that each gate rejects each of its files in tests/bad/GATE
#
# A gate is a function gate_NAME that gets the files to look at, prints what is wrong with them, and fails if anything is;
# files_NAME prints the files that it gets in the project. A new gate is these two, a word in GATES, and a file in tests/bad.
#
# A file in tests/bad has a line "rejects: TEXT": its gate must fail on it alone and print TEXT.

# shellcheck disable=SC2317 # gate_NAME and files_NAME are called by name
set -u
cd "$(dirname "$0")/.." || exit 1

GATES='format tidy fuzzers banned deps scripts browser size shell yaml length columns top links prometheus'
GENERATED=build/release/gen
LLHTTP=$([ -f /usr/share/llhttp/llhttp.c ] || echo build/node-llhttp)/usr/share/include/llhttp
LINES_MAX=450
COLUMNS_MAX=132
PAGE_MAX=102400
CORES=$(getconf _NPROCESSORS_ONLN)

# The project's files that match the given pathspecs: tracked, or new and not ignored.
project() {
    git ls-files -co --exclude-standard -- "$@" | grep -v '^tests/bad/' | sort -u | while read -r file; do
        [ -f "$file" ] && echo "$file"
    done
}

# --- format: clang-format would change nothing

files_format() { project '*.c' '*.h'; }

gate_format() {
    if ! output=$(clang-format --dry-run -Werror "$@" 2>&1); then
        printf '%s\n' "$output" | awk -F: '{ all = all $0 "\n" } /error:/{ places[$1]++ }
            END {
                if (length(places) == 0) print all
                for (file in places) print file ": make format would change " places[file] " places"
            }' | sort
        return 1
    fi
}

# --- tidy: clang-tidy and clang's warnings, VLAs among them

files_tidy() {
    MAKEFLAGS='' make -s MODE=release "$GENERATED/scripts.h" >&2
    project 'src/*.c'
}

gate_tidy() {
    if ! output=$(printf '%s\n' "$@" | xargs -P "$CORES" -I FILE clang-tidy --quiet FILE -- \
        -std=c11 -D_GNU_SOURCE -DH2O_USE_LIBUV=0 -Isrc "-I$GENERATED" -isystem "$LLHTTP" -Wall -Wextra -Wvla 2>&1); then
        # without the sums of complexity, which are long
        printf '%s\n' "$output" | awk '/^[0-9]+ warnings? /{ next } /: (error|warning|note): /{ sum = /note: \+/ } !sum'
        return 1
    fi
}

# --- fuzzers: each of them compiles, since `make fuzz` runs seldom

files_fuzzers() {
    MAKEFLAGS='' make -s MODE=release "$GENERATED/scripts.h" >&2
    project 'tests/fuzz/*.c'
}

gate_fuzzers() {
    printf '%s\n' "$@" | xargs -P "$CORES" -I FILE clang -fsyntax-only \
        -std=c11 -D_GNU_SOURCE -DH2O_USE_LIBUV=0 -Isrc "-I$GENERATED" -isystem "$LLHTTP" \
        -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror FILE 2>&1
}

# --- banned: calls that no C file of ours makes: those that can't be bounded, and those that threads can't share

files_banned() { project '*.c' '*.h'; }

BANNED='strcpy|strcat|sprintf|vsprintf|atoi|strtok|alloca|gets|gmtime|localtime|ctime|asctime|setenv|putenv|unsetenv'

gate_banned() {
    ! grep -nHE "(^|[^A-Za-z0-9_])(__builtin_)?($BANNED)[[:space:]]*\\(" "$@"
}

# --- deps: includes go only downwards

files_deps() { project 'src/*.c' 'src/*.h'; }

# A layer (a folder of src/; main for src/main.c) may include itself and what stands in its row, folders and libraries alike.
gate_deps() {
    awk '
    BEGIN {
        may["main"]  = "cli instance redis base"
        may["cli"]   = "instance redis model base hiredis cjson curl generated"
        may["instance"] = "api http upstream store redis auth model base"
        may["api"]   = "http upstream store auth model base"
        may["store"] = "redis model base hiredis openssl generated"
        may["http"]  = "base h2o"
        may["redis"] = "base h2o hiredis openssl generated"
        may["auth"]  = "base jwt crypt openssl"
        may["upstream"] = "base h2o openssl llhttp"
        may["model"] = "base cjson"
        may["base"]  = ""
    }
    # The layer or library that an include names; "" for the system.
    function target(path, angle) {
        if (path ~ /^h2o(\.h$|\/)/) return "h2o"
        if (path ~ /^hiredis(\.h$|\/)/) return "hiredis"
        if (path ~ /^(cjson\/|cJSON)/) return "cjson"
        if (path ~ /^curl\//) return "curl"
        if (path ~ /^openssl\//) return "openssl"
        if (path == "jwt.h") return "jwt"
        if (path == "llhttp.h") return "llhttp"
        if (path == "crypt.h") return "crypt"
        if (path == "scripts.h") return "generated"
        split(path, part, "/")
        if (part[1] in may || !angle) return part[1]
        return ""
    }
    FNR == 1 {
        layer = FILENAME
        sub(/^(.*\/)?src\//, "", layer)
        sub(/\/.*$/, "", layer)
        sub(/\.[ch]$/, "", layer)
        if (!(layer in may)) { print FILENAME ": " layer " is no layer of src/"; bad = 1 }
    }
    /^[ \t]*#[ \t]*include/ {
        if (!match($0, /[<"][^>"]*[>"]/)) { print FILENAME ":" FNR ": an include that names no file"; bad = 1; next }
        to = target(substr($0, RSTART + 1, RLENGTH - 2), substr($0, RSTART, 1) == "<")
        if (to != "" && to != layer && index(" " may[layer] " ", " " to " ") == 0) {
            print FILENAME ":" FNR ": " layer " may not include " to
            bad = 1
        }
    }
    END { exit bad }' "$@"
}

# --- scripts: luacheck, on each script's whole generated text as Redis gets it, and on the Lua tools

files_scripts() {
    MAKEFLAGS='' make -s MODE=release "$GENERATED/scripts.h" >&2
    # one generated text for each script, no fewer
    project 'lua/*.lua' ':!lua/lib' ':!lua/embed.lua' | sed "s|^lua/|$GENERATED/scripts/|"
    project lua/embed.lua 'src/*.lua' 'tests/*.lua'
}

gate_scripts() {
    # 231, 241: a script need not read all that the parts of a library set that it has; 431: libraries that are made later stand
    # among the script's own names
    failed=0
    for file in "$@"; do
        case $file in
            */gen/scripts/* | tests/bad/*) luacheck --no-color -q --std redis "$file" --ignore 231 241 431 || failed=1 ;;
            *) luacheck --no-color -q "$file" || failed=1 ;;
        esac
    done
    return "$failed"
}

# --- browser: oxlint, on the dashboard's scripts as a page runs them, and on its tests

files_browser() {
    project 'src/*.html' 'tests/browser/*.mjs'
}

gate_browser() {
    failed=0
    for file in "$@"; do
        case $file in
            *.html)
                script=build/tests/script.$$.js # two runs may go on at once
                mkdir -p build/tests
                lua5.1 src/api/embed.lua --page "$file" | sed -n '/^<script>$/,/^<\/script>$/{//!p}' >"$script"
                [ -s "$script" ] || { echo "$file: has no script"; failed=1; }
                ;;
            *) script=$file ;;
        esac
        if ! output=$(tests/browser/node_modules/.bin/oxlint -c tests/browser/oxlint.json "$script" 2>&1); then
            printf '%s:\n%s\n' "$file" "$output"
            failed=1
        fi
    done
    rm -f "build/tests/script.$$.js"
    return "$failed"
}

# --- size: no page is over PAGE_MAX bytes when it is compressed

files_size() { project 'src/*.html'; }

gate_size() {
    failed=0
    for file in "$@"; do
        bytes=$(lua5.1 src/api/embed.lua --page "$file" | gzip -9n | wc -c)
        if [ "$bytes" -gt "$PAGE_MAX" ]; then
            echo "$file: $bytes bytes compressed, over $((PAGE_MAX / 1024)) KB"
            failed=1
        elif [ "$bytes" -lt 1000 ]; then
            echo "$file: can't be put together"
            failed=1
        fi
    done
    return "$failed"
}

# --- shell: shellcheck

files_shell() { project '*.sh' .ci/run; }

gate_shell() { shellcheck "$@"; }

# --- yaml: yamllint, as .yamllint says

files_yaml() { project '*.yml' '*.yaml' .yamllint; }

gate_yaml() { yamllint --strict "$@"; }

# --- length: no source file over LINES_MAX lines

files_length() { project 'src/*.c' 'src/*.h' 'src/*.lua' 'src/*.js' 'src/*.css' 'lua/*.lua'; }

gate_length() {
    awk -v max="$LINES_MAX" 'FNR == max + 1 { print FILENAME ": over " max " lines"; bad = 1 } END { exit bad }' "$@"
}

# --- columns: no line of a source file or of a document is over COLUMNS_MAX characters long, comments too

files_columns() {
    project '*.c' '*.h' '*.lua' '*.py' '*.sh' '*.mjs' '*.js' '*.pml' '*.supp' 'src/*.css' 'src/*.html' Makefile .ci/run '*.md'
}

# A document's tables, URLs that stand alone, and blocks of code (a reader copies their lines) are left out: they can't be wrapped.
gate_columns() {
    ! awk '
    FNR == 1 { document = FILENAME ~ /\.md$/; code = 0 }
    document && /^ *```/ { code = !code }
    !document || !(code || /^ *\|/ || /^[^ ]*https?:\/\/[^ ]*$/) { print FILENAME ":" FNR ":" $0 }' "$@" |
        LC_ALL=C.UTF-8 sed -nE "s/^([^:]*:[0-9]+:).{$((COLUMNS_MAX + 1))}.*/\\1 over $COLUMNS_MAX columns/p" | grep .
}

# --- top: nothing stands at the top level but what belongs there

files_top() { git ls-files | grep -v '^tests/bad/'; }

gate_top() {
    # a bad file stands for one of that path at the top
    ! printf '%s\n' "$@" | sed 's|^tests/bad/top/||; s|/.*||' | sort -u |
        grep -vxE -e 'src|lua|tests|deploy|docs|Makefile|docker-compose\.yml|fly\.toml' \
            -e 'README\.md|ARCHITECTURE\.md|CHANGELOG\.md|LICENSE|\..*'
}

# --- links: what documents link to is there: files, and headings of pages

files_links() { project '*.md'; }

gate_links() { lua5.1 tests/lib/links.lua "$@"; }

# --- prometheus: promtool takes the configuration and the rules, the rules pass their tests, and every alert says what it means

files_prometheus() { project 'deploy/prometheus/*.yml'; }

gate_prometheus() {
    failed=0
    for file in "$@"; do
        if grep -q '^scrape_configs:' "$file"; then
            output=$(promtool check config "$file" 2>&1) || { printf '%s\n' "$output" && failed=1; }
        elif grep -q '^tests:' "$file"; then
            output=$(promtool test rules "$file" 2>&1) || { printf '%s\n' "$output" && failed=1; }
        else
            output=$(promtool check rules --lint-fatal "$file" 2>&1) || { printf '%s\n' "$output" && failed=1; }
            awk -v file="$file" '/^ *- alert: /{ alerts++ } /summary: /{ summaries++ } /description: /{ descriptions++ }
                END {
                    if (alerts != summaries || alerts != descriptions) {
                        print file ": " alerts + 0 " alerts, but " summaries + 0 " summaries and " descriptions + 0 " descriptions"
                        exit 1
                    }
                }' "$file" || failed=1
        fi
    done
    return "$failed"
}

# --- running them

run_gate() {
    # shellcheck disable=SC2046 # no file name of ours has white space
    set -- "$1" $("files_$1")
    if [ $# -eq 1 ]; then
        echo "$1 FAILED: found no file to look at"
        return 1
    fi
    gate=$1
    shift
    if output=$("gate_$gate" "$@"); then
        echo "$gate ok"
    else
        printf '%s\n%s FAILED\n' "$output" "$gate"
        return 1
    fi
}

run_bad() {
    count=0
    for file in $(find "tests/bad/$1" -type f | sort); do
        count=$((count + 1))
        expected=$(sed -n 's/.*rejects: \([^*]*[^* ]\).*/\1/p' "$file" | head -n 1)
        if output=$("gate_$1" "$file"); then
            echo "$1 FAILED: it accepts $file"
            return 1
        elif [ -z "$expected" ]; then
            echo "$1 FAILED: $file does not say what rejects it"
            return 1
        elif ! printf '%s' "$output" | grep -qF -e "$expected"; then
            printf '%s\n%s FAILED: it rejects %s, but not for "%s"\n' "$output" "$1" "$file" "$expected"
            return 1
        fi
    done
    if [ "$count" -eq 0 ]; then
        echo "$1 FAILED: nobody saw it reject anything; tests/bad/$1 is empty"
        return 1
    fi
    echo "$1 ok, rejects its $count"
}

run=run_gate
if [ "${1:-}" = --bad ]; then
    run=run_bad
    shift
fi
# shellcheck disable=SC2086 # words
[ $# -gt 0 ] || set -- $GATES
failed=0
for gate in "$@"; do
    case " $GATES " in
        *" $gate "*) $run "$gate" || failed=1 ;;
        *) echo "$gate FAILED: no such gate; there are: $GATES" && failed=1 ;;
    esac
done
exit "$failed"
