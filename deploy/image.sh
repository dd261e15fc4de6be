#!/bin/sh
# The images, made and tested with whatever Docker engine there is, and without a registry.
#
#   image.sh build               builds rma-coordinator, rma-balancer and rma-example-worker
#   image.sh packages            writes deploy/packages.ARCHITECTURE anew: the newest versions of all packages, and today's date
#   image.sh test [ARGUMENT…]    builds them, then runs tests/image, with arguments for pytest
#
# If an engine answers, it is used. Else, as root, Debian's is installed if need be and runs for as long as this takes. The base of
# the images is the local image $BASE (debian:bookworm-slim), or is made of Debian's packages (debootstrap) under the name rma-base.
# Exit code: 3 where no engine can be had, else that of what failed.
set -eu
cd "$(dirname "$0")/.."

log=build/image
mkdir -p "$log"
list=deploy/packages.$(dpkg --print-architecture)

give_up() {
    echo "image.sh: no Docker engine: $1" >&2
    exit 3
}

# Debian packages that are missing.
install_packages() {
    missing=$(for package; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done)
    # shellcheck disable=SC2086 # words
    [ -z "$missing" ] || {
        echo "installing Debian packages:" $missing
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    }
}

stop_engine() {
    kill "$engine" 2>/dev/null || return 0
    wait "$engine" || true
}

# An engine that answers at DOCKER_HOST; one of our own is stopped in the end.
start_engine() {
    docker info >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] || give_up "none answers \"docker info\"; start one, or run this as root"
    command -v dockerd >/dev/null || install_packages docker.io iptables || give_up "Debian's docker.io can't be installed"
    echo "starting a Docker engine, which says more in $log/dockerd.log"
    DOCKER_HOST=unix:///run/rma-image.sock
    export DOCKER_HOST
    dockerd -H "$DOCKER_HOST" -p /run/rma-image.pid --exec-root /run/rma-image >"$log/dockerd.log" 2>&1 &
    engine=$!
    trap stop_engine EXIT
    trap 'exit 1' INT TERM HUP
    for _ in $(seq 100); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    give_up "dockerd does not start here: $(tail -n 1 "$log/dockerd.log")"
}

# The base: as debian:bookworm-slim, a minimal Debian without documentation, where installing a package starts nothing.
make_base() {
    base=${BASE:-debian:bookworm-slim}
    docker image inspect "$base" >/dev/null 2>&1 && return
    [ -z "${BASE:-}" ] || return 0 # the engine fetches what was asked for by name
    base=rma-base
    docker image inspect "$base" >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] || {
        base=debian:bookworm-slim
        return
    }
    install_packages debootstrap
    echo "making $base of Debian's packages"
    root=$(mktemp -d)
    debootstrap --variant=minbase bookworm "$root" >"$log/debootstrap.log" 2>&1 || {
        tail -n 3 "$log/debootstrap.log" >&2
        rm -rf "$root"
        exit 1
    }
    cat >>"$root/etc/apt/sources.list" <<'LINES'
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
LINES
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    for path in doc man locale info; do
        echo "path-exclude /usr/share/$path/*"
        rm -rf "$root/usr/share/${path:?}"/*
    done >"$root/etc/dpkg/dpkg.cfg.d/slim"
    chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get upgrade -qq -y' >>"$log/debootstrap.log" 2>&1
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
    tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$base" >/dev/null
    rm -rf "$root"
}

build() { # TARGET IMAGE
    echo "building $2"
    # the host's network: builds reach the Debian mirror the way that this machine does
    docker build --network host -f deploy/Dockerfile --target "$1" -t "$2" --build-arg "BASE=$base" \
        --build-arg "VERSIONS=${VERSIONS:-pinned}" \
        --build-arg "VERSION=$(sed -n 's/^#define VERSION "\(.*\)"/\1/p' src/instance/instance.h)" \
        --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
        --build-arg "CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)" . >"$log/$1.log" 2>&1 || {
        tail -n 25 "$log/$1.log" >&2
        exit 1
    }
}

build_all() {
    build coordinator rma-coordinator
    build balancer rma-balancer
    build example-worker rma-example-worker
}

# The archive has what the mirrors have within six hours.
write_list() {
    VERSIONS=newest
    build build rma-build
    build_all
    {
        echo "# The versions of all packages in the images, made by \"make image-packages\"."
        echo "# snapshot: $(date -u -d '+6 hours' +%Y%m%dT%H%M%SZ)"
        for image in rma-build rma-coordinator rma-balancer rma-example-worker; do
            docker run --rm --network none --entrypoint cat "$image" /usr/share/rma-coordinator/packages
        done | sort -u
    } >"$list.new"
    docker image rm rma-build >/dev/null
    mv "$list.new" "$list"
    echo "$list: $(grep -vc '^#' "$list") packages"
}

command=${1:-}
case $command in
    build | packages | test) ;;
    *)
        echo "usage: image.sh build | packages | test" >&2
        exit 2
        ;;
esac

# the old builder, where the new one is not installed: Debian's engine has none
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
start_engine
make_base
case $command in
    build) build_all ;;
    packages) write_list ;;
    test)
        build_all
        shift
        BASE=$base /usr/bin/python3 -m pytest tests/image "$@"
        ;;
esac
