#!/bin/bash
# Makes a data directory out of an archive of backup.sh, for a coordinator with a Redis of its own (DATA_DIR) or for a redis-server.
#
#   restore.sh ARCHIVE DATA_DIR
#
# DATA_DIR must not exist, or be empty: nothing is ever overwritten. It stays so unless the archive is whole: all files that it
# lists are in it, unharmed, and Redis's own checker reads them to their end.
set -euo pipefail
umask 077

fail() {
    echo "restore.sh: $1" >&2
    exit 1
}

[ $# -eq 2 ] || fail "usage: restore.sh ARCHIVE DATA_DIR"
archive=$1
data=$2
[ -f "$archive" ] || fail "there is no archive $archive"
if [ -e "$data" ] || [ -L "$data" ]; then
    [ -d "$data" ] || fail "$data is no directory"
    # a volume that is new has lost+found
    [ -z "$(find "$data/" -mindepth 1 -maxdepth 1 -not -name lost+found -print -quit)" ] ||
        fail "$data is not empty; move it away, or name another directory"
fi

made=
clean_up() {
    local code=$?
    trap '' INT TERM HUP
    [ -z "${work:-}" ] || rm -rf "$work"
    [ "$code" = 0 ] || [ -z "$made" ] || rmdir "$data" 2>/dev/null || true
    exit "$code"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

if [ ! -d "$data" ]; then
    mkdir -p "$(dirname "$data")"
    mkdir "$data" || fail "$data can't be made"
    made=yes
fi
work=$(mktemp -d "$data/restore.work.XXXXXX") || fail "$data can't be written"

damaged="$archive is damaged or no archive of backup.sh"
entries=$(tar -tzf "$archive" 2>/dev/null) || fail "$damaged: it can't be read to its end"
[ "$(head -n 1 <<<"$entries")" = SHA256SUMS ] || fail "$damaged: it has no list of its files"
# one folder of plain files: no path leads out of it
foreign=$(grep -vxE 'SHA256SUMS|[A-Za-z0-9_-][A-Za-z0-9._-]*/([A-Za-z0-9_-][A-Za-z0-9._-]*)?' <<<"$entries" | head -n 1 || true)
[ -z "$foreign" ] || fail "$damaged: it has a file $foreign"
tar -C "$work" -xzf "$archive" --no-same-owner --no-same-permissions || fail "$damaged: it can't be unpacked"
[ -z "$(find "$work" -mindepth 1 -not -type f -not -type d -print -quit)" ] || fail "$damaged: it has more than plain files"
wrong=$(cd "$work" && sha256sum --check --strict --quiet SHA256SUMS 2>&1) || fail "$damaged: ${wrong%%$'\n'*}"
listed=$(sed 's/^[0-9a-f]* [ *]//' "$work/SHA256SUMS" | sort)
found=$(cd "$work" && find . -mindepth 2 -type f | sed 's|^\./||' | sort)
[ "$listed" = "$found" ] || fail "$damaged: its list and its files differ"
manifest=$(grep -x '[^/]*/[^/]*\.manifest' <<<"$listed") || fail "$damaged: it has no manifest"
folder=${manifest%%/*}
[ "$(cut -d / -f 1 <<<"$listed" | sort -u)" = "$folder" ] || fail "$damaged: it has files outside $folder"
redis-check-aof "$work/$manifest" >"$work/check" 2>&1 || fail "$damaged: redis-check-aof: $(tail -n 1 "$work/check")"

# a volume's owner is who will read it
[ "$(id -u)" != 0 ] || chown -R --reference="$data" "$work/$folder"
sync "$work/$folder"/*
mv -T "$work/$folder" "$data/$folder"
sync "$data"
echo "restore.sh: $data has the fleet of $archive"
