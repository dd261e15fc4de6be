#!/bin/bash
# Saves the append-only file of a Redis into an archive while it serves: everything acknowledged before the backup began is in it.
#
#   backup.sh DATA_DIR ARCHIVE
#
# DATA_DIR is where Redis keeps its data, as seen from here. Redis is that of REDIS_URL (redis://[user:password@]host:port,
# unix:///path) in the environment; without that, the one of a coordinator that runs on DATA_DIR, else the one on this machine's
# port 6379, with the password REDIS_PASSWORD. ARCHIVE, a .tar.gz, must not exist yet; restore.sh makes a data directory of it.
# Nothing is left in its place unless the backup is whole.
#
# Redis may replace the files of the append-only file at any moment (a rewrite), so it is kept from that while they are hard-linked;
# the copying comes afterwards. On any end rewriting is as it was before; after kill -9 the next backup sees to that.
set -euo pipefail
umask 077

REWRITE_WITHIN=600 # seconds, for a rewrite under way
FLUSH_WITHIN=4     # seconds; what Redis has acknowledged is in the file after two, however busy the disk

fail() {
    echo "backup.sh: $1" >&2
    exit 1
}

decode() { # of percent-encoding
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

# Fills the array redis_cli, and REDISCLI_AUTH: a password on the command line would be seen in the list of processes.
find_redis() {
    redis_cli=(redis-cli -e --no-auth-warning)
    local rest user host
    case ${REDIS_URL:-} in
        '')
            export REDISCLI_AUTH=${REDIS_PASSWORD:-}
            [ ! -S "$data/redis.sock" ] || redis_cli+=(-s "$data/redis.sock")
            ;;
        unix://*)
            rest=${REDIS_URL#unix://}
            redis_cli+=(-s "$(decode "${rest%%\?*}")")
            ;;
        redis://*)
            rest=${REDIS_URL#redis://}
            rest=${rest%%/*}
            if [[ $rest == *@* ]]; then
                user=${rest%@*}
                rest=${rest##*@}
                REDISCLI_AUTH=$(decode "${user#*:}")
                export REDISCLI_AUTH
                user=${user%%:*}
                [ -z "$user" ] || redis_cli+=(--user "$(decode "$user")")
            fi
            host=$rest
            if [[ $rest =~ :[0-9]+$ ]]; then
                host=${rest%:*}
                redis_cli+=(-p "${rest##*:}")
            fi
            host=${host#[} # of an IPv6 address
            redis_cli+=(-h "$(decode "${host%]}")")
            ;;
        *) fail "REDIS_URL must begin with redis:// or unix://" ;;
    esac
}

redis() { # without the lock: "timeout" lives on for a moment when this script is killed
    timeout --foreground 10 "${redis_cli[@]}" "$@" </dev/null 9>&-
}

setting() { # its value
    redis config get "$1" | tail -n 1
}

info() { # one number of INFO persistence
    redis info persistence | tr -d '\r' | sed -n "s/^$1://p"
}

# Ends everything as it was, whatever has happened.
clean_up() {
    local code=$?
    trap '' INT TERM HUP
    if ! resume_rewrites; then
        percentage=$(<"$data/backup.percentage")
        echo "backup.sh: Redis does not take CONFIG SET auto-aof-rewrite-percentage $percentage; the next backup tries again" >&2
        code=1
    fi
    rm -rf "$work" "$part"
    exit "$code"
}

# What the setting was stands in a file for as long as it is changed: the next backup finds it there after kill -9.
hold_rewrites() {
    if [ ! -s "$data/backup.percentage" ]; then
        percentage=$(setting auto-aof-rewrite-percentage)
        echo "$percentage" >"$data/backup.percentage"
    fi
    redis config set auto-aof-rewrite-percentage 0 >/dev/null
}

resume_rewrites() {
    [ -e "$data/backup.percentage" ] || return 0
    redis config set auto-aof-rewrite-percentage "$(<"$data/backup.percentage")" >/dev/null && rm -f "$data/backup.percentage"
}

wait_until() { # SECONDS COMMAND…
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

no_rewrite() {
    [ "$(info aof_rewrite_in_progress)$(info aof_rewrite_scheduled)" = 00 ]
}

all_written() {
    [ "$(info aof_buffer_length)" = 0 ]
}

# Links the files that the manifest names, but for those that a rewrite left to be deleted. Fails when a rewrite that somebody asked
# for came between.
link_files() {
    local name
    rm -rf "${work:?}/$folder"
    mkdir "$work/$folder"
    cp "$data/$folder/$manifest" "$work/manifest"
    grep -v ' type h$' "$work/manifest" >"$work/$folder/$manifest"
    while read -r name; do
        ln "$data/$folder/$name" "$work/$folder/$name" 2>/dev/null || cp "$data/$folder/$name" "$work/$folder/$name" || return 1
    done < <(sed -n 's/^file \([^ ]*\) seq .*/\1/p' "$work/$folder/$manifest")
    no_rewrite && cmp -s "$data/$folder/$manifest" "$work/manifest"
}

# Redis goes on writing into the last file: it is copied, and the copy cut after its last whole command.
cut_last_file() {
    local last
    last=$(sed -n 's/^file \([^ ]*\) seq [0-9]* type i.*/\1/p' "$work/$folder/$manifest" | tail -n 1)
    if [ -n "$last" ]; then
        cp "$work/$folder/$last" "$work/copy"
        mv -f "$work/copy" "$work/$folder/$last"
    fi
    redis-check-aof --fix "$work/$folder/$manifest" <<<y >"$work/check" 2>&1 ||
        fail "the append-only file is damaged: $(tail -n 1 "$work/check")"
}

[ $# -eq 2 ] || fail "usage: backup.sh DATA_DIR ARCHIVE"
[ -d "$1" ] || fail "there is no directory $1"
data=$(cd "$1" && pwd)
archive=$2
[ ! -e "$archive" ] || fail "$archive exists already"
[ -d "$(dirname "$archive")" ] || fail "there is no directory $(dirname "$archive")"

exec 9>>"$data/backup.lock" || fail "$data can't be written"
flock -n 9 || fail "another backup of $data is under way"

find_redis
answer=$(redis ping 2>&1) || fail "Redis does not answer: ${answer%%$'\n'*}"
appendonly=$(setting appendonly) || fail "this Redis refuses CONFIG GET"
[ "$appendonly" = yes ] || fail "this Redis keeps no append-only file (appendonly is off)"
folder=$(setting appenddirname)
manifest=$(setting appendfilename).manifest
[ -f "$data/$folder/$manifest" ] || fail "there is no $folder/$manifest in $data: is it the directory of this Redis?"

rm -rf "$data"/backup.work.*
work=$(mktemp -d "$data/backup.work.XXXXXX")
# not called .tar.gz before it is whole
part=$(mktemp "$archive.XXXXXX")
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

wait_until "$FLUSH_WITHIN" all_written || true
hold_rewrites
linked=no
for _ in 1 2 3 4 5; do
    wait_until "$REWRITE_WITHIN" no_rewrite || fail "a rewrite of the append-only file takes longer than $REWRITE_WITHIN s"
    if link_files; then
        linked=yes
        break
    fi
done
[ "$linked" = yes ] || fail "the append-only file is rewritten again and again"
written=$(info aof_base_size)
resume_rewrites

size=$(cat "$work/$folder"/* | wc -c)
[ "$size" -ge "$written" ] || fail "the files in $data/$folder are smaller than those that Redis writes: it is not its directory"
cut_last_file
(cd "$work" && sha256sum -- "$folder"/* >SHA256SUMS)
tar -C "$work" -czf "$part" SHA256SUMS "$folder"
sync "$part"
mv -nT "$part" "$archive"
[ ! -e "$part" ] || fail "$archive exists by now"
sync "$(dirname "$archive")"
echo "backup.sh: $archive has $(wc -c <"$archive") bytes"
