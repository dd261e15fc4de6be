#!/bin/sh
# Installs Debian packages in an image. They and their dependencies have the versions that deploy/packages.ARCHITECTURE lists.
#
#   install-packages.sh LIST VERSIONS NAME…
#
# LIST is that file's path without the architecture. VERSIONS is
#   pinned    the listed ones: from the mirror of the base image, else, once that has newer ones, from the archive of the day when
#             the list was made (snapshot.debian.org); if neither has them, it fails and says what differs
#   newest    the newest ones of the mirror
# On an architecture that has no list, the newest ones are taken, and it says so. `make image-packages` makes the list anew.
# All packages of the image, those of its base too, are in /usr/share/rma-coordinator/packages afterwards, one NAME=VERSION a line.
set -eu

list=$1.$(dpkg --print-architecture)
versions=$2
shift 2
installed=/usr/share/rma-coordinator/packages
: "${SNAPSHOT_MIRROR:=http://snapshot.debian.org/archive}"
export DEBIAN_FRONTEND=noninteractive

update() {
    apt-get update -qq -o Acquire::Retries=3
}

# What an installation would bring, one NAME=VERSION a line.
planned() {
    apt-get install -s --allow-downgrades --no-install-recommends -- "$@" |
        sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)*(\([^ ]*\) .*/\1=\3/p' | sort
}

# Whether an installation would bring the versions of the list alone. Preferences choose them, even older ones than the base has.
can_be_had() {
    sed -n 's/^\([^#=]*\)=\(.*\)/Package: \1\nPin: version \2\nPin-Priority: 1001\n/p' "$list" >/etc/apt/preferences.d/pinned
    planned "$@" >/tmp/planned
    differ=$(grep -vxFf "$list" /tmp/planned || true)
    [ -s /tmp/planned ] && [ -z "$differ" ]
}

use_snapshot() {
    day=$(sed -n 's/^# snapshot: //p' "$list")
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
    for suite in "debian bookworm" "debian bookworm-updates" "debian-security bookworm-security"; do
        echo "deb [check-valid-until=no] $SNAPSHOT_MIRROR/${suite% *}/$day ${suite#* } main"
    done >/etc/apt/sources.list
    update
}

update
if [ "$versions" = pinned ] && [ ! -f "$list" ]; then
    echo "install-packages.sh: there is no list of versions for $(dpkg --print-architecture): taking the newest" >&2
elif [ "$versions" = pinned ] && ! can_be_had "$@"; then
    echo "install-packages.sh: the mirror has other versions than the list, asking $SNAPSHOT_MIRROR for:" "${differ:-$*}" >&2
    if ! use_snapshot || ! can_be_had "$@"; then
        echo "install-packages.sh: not to be had in the listed versions:" "${differ:-$*}" >&2
        echo "install-packages.sh: \"make image-packages\" makes the list anew; --build-arg VERSIONS=newest does without it" >&2
        exit 1
    fi
fi
apt-get install -qq -y --allow-downgrades --no-install-recommends -- "$@" >/tmp/apt.log || {
    cat /tmp/apt.log
    exit 1
}
mkdir -p "${installed%/*}"
dpkg-query -W -f '${Package}=${Version}\n' >"$installed"
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /tmp/planned /tmp/apt.log /etc/apt/preferences.d/pinned
