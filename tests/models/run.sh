#!/bin/sh
# Proves the models with spin: tests/models/run.sh [MODEL…]
#
# Each model must hold: no assertion fails, no state is without a way on, each ltl property is true while every process that can go
# on does so at last. Each of its changed rules must be found: a line " *   broken NAME PROPERTY: …" of the model names a macro, and
# the property that must be seen to break with it ("assert" for an assertion or a deadlock).
#
# CHANGES=2 proves the link through two changes of its surroundings instead of one, in some minutes.

set -u
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Makes the verifier of model $1, with macro $2 ("-": as it is), in the directory $3.
make_verifier() {
    mkdir -p "$3" && cp "$1" "$3/" && cd "$3" || return 1
    [ "$2" = - ] || set -- "$1" "$2" "$3" "-D$2"
    spin ${4:+"$4"} ${CHANGES:+"-DCHANGES=$CHANGES"} -a "$1" >log || { cat log; return 1; }
}

# Whether property $1 holds; leaves what the verifier says in $1.out.
holds() {
    if [ "$1" = assert ]; then
        [ -x safety ] || cc $optimize -w -DSAFETY -DNOCLAIM -o safety pan.c || return 1
        ./safety -w20 -m1000000 >"$1.out" 2>&1
    else
        [ -x liveness ] || cc $optimize -w -DNFAIR=4 -o liveness pan.c || return 1
        ./liveness -a -f -N "$1" -w20 -m1000000 >"$1.out" 2>&1
    fi
    grep -q 'errors: 0$' "$1.out" && ! grep -qE 'max search depth too small|Search not completed|out of memory' "$1.out"
}

# Whether property $1 was seen to break.
breaks() {
    ! holds "$1" && grep -qE 'errors: [1-9]' "$1.out"
}

prove() { (
    model=${1%.pml} optimize=-O1
    make_verifier "$model.pml" - "$work/$model" || exit 1
    for property in assert $(sed -n 's/^ltl \([a-z_]*\) .*/\1/p' "$model.pml"); do
        holds "$property" || { cat "$property.out"; echo "$model: $property does not hold"; exit 1; }
        echo "$model: $property holds, $(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$property.out") states"
    done
) }

find_broken() { (
    model=${1%.pml} optimize=-O0 # what is broken is found soon
    make_verifier "$model.pml" "$2" "$work/$model-$2" || exit 1
    breaks "$3" || { cat "$3.out"; echo "$model: nothing is wrong with $3 although $2"; exit 1; }
    echo "$model: $2 breaks $3"
) }

if [ "${1:-}" = --prove ]; then prove "$2"; exit; fi
if [ "${1:-}" = --find ]; then find_broken "$2" "$3" "$4"; exit; fi
[ $# -gt 0 ] || set -- *.pml
for model; do
    echo "--prove $model"
    sed -n "s/^ \*   broken \([A-Z_]*\) \([a-z_]*\): .*/--find $model \1 \2/p" "$model"
done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -L 1 ./run.sh
