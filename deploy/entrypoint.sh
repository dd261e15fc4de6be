#!/bin/bash
# What a container of the image does, by its first argument:
#
#   coordinator [FLAG…]   serves, on the Redis of REDIS_URL
#   redis [OPTION…]       the Redis of a fleet: append-only file under DATA_DIR (/data), on every IPv4 and IPv6 address, port 6379.
#                         Nobody gets in without the password REDIS_PASSWORD; without that variable it answers only the container
#                         itself, unless REDIS_PROTECTED_MODE=no says that its network is closed to strangers
#   all-in-one [FLAG…]    serves, with a Redis of its own under DATA_DIR (/data)
#   anything else         an operator's command of rma-coordinator: workers, status, drain, export, …
#
# Started as root, it hands the data directory to the user rma and goes on as that user: some platforms (Fly.io) mount volumes that
# only root can write. Everywhere else the image starts as rma.
set -eu

fail() {
    echo "entrypoint.sh: $1" >&2
    exit 1
}

# A word of redis.conf, whatever is in it.
quote() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

role=${1:-all-in-one}

if [ "$(id -u)" = 0 ]; then
    if [ "$role" = redis ] || [ "$role" = all-in-one ]; then
        mkdir -p "$DATA_DIR"
        # not lost+found, and nothing of a file system mounted below
        find "$DATA_DIR" -xdev -not -user rma -not -name lost+found -exec chown -h rma:rma {} +
    fi
    exec setpriv --reuid=rma --regid=rma --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$0" "$@"
fi

case $role in
    redis | all-in-one)
        if [ ! -d "$DATA_DIR" ] || [ ! -w "$DATA_DIR" ]; then
            fail "the user $(id -u) can't write $DATA_DIR; give the volume to that user, or start the container as root, which does"
        fi
        ;;
esac

case $role in
    coordinator)
        [ -n "${REDIS_URL:-}" ] || fail "the role coordinator needs REDIS_URL; all-in-one has a Redis of its own"
        exec rma-coordinator serve "${@:2}"
        ;;
    all-in-one)
        unset REDIS_URL
        exec rma-coordinator serve "${@:2}"
        ;;
    redis)
        settings="dir $(quote "$DATA_DIR")
bind * -::*
protected-mode ${REDIS_PROTECTED_MODE:-yes}"
        if [ -n "${REDIS_PASSWORD:-}" ]; then
            [[ $REDIS_PASSWORD != *[[:cntrl:]]* ]] || fail "REDIS_PASSWORD has a control character in it"
            settings+="
requirepass $(quote "$REDIS_PASSWORD")
masterauth $(quote "$REDIS_PASSWORD")"
        fi
        unset REDIS_PASSWORD
        # by standard input: the password is seen neither in the list of processes nor in a file
        exec redis-server /etc/rma-coordinator/redis.conf "${@:2}" - <<<"$settings"
        ;;
    *)
        exec rma-coordinator "$@"
        ;;
esac
