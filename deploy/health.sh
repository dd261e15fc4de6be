#!/bin/bash
# Says whether the program in this container is well, by its exit code: 0 or 1. A coordinator is well when it is ready to serve, and
# a Redis when it answers.
set -u

# Whether a program of this name runs here.
runs() {
    grep -qsx "$1" /proc/[0-9]*/comm
}

if runs rma-coordinator; then
    host=${HOST:-::}
    case $host in
        :: | 0.0.0.0) host=127.0.0.1 ;;
    esac
    exec 3<>"/dev/tcp/$host/${PORT:-8080}" || exit 1
    printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    read -r -t 5 _ status _ <&3
    [ "${status:-}" = 200 ]
elif runs redis-server; then
    [ "$(REDISCLI_AUTH=${REDIS_PASSWORD:-} timeout 5 redis-cli ping)" = PONG ]
else
    exit 1
fi
