#!/bin/bash
# A worker that does no work: it registers, beats as often as it is told, registers again when it is not known any more, and says
# goodbye when it is asked to end. A start for an agent of your own.
#
#   COORDINATOR_URL=http://localhost:8080 example-worker.sh
set -u

: "${COORDINATOR_URL:=http://localhost:8080}"
id=${WORKER_ID:-example-$(hostname)}
answer=$(mktemp)

# Sends a request with a JSON body; its status is in $status, 000 when nobody answered, and what was said in the file $answer.
call() { # METHOD PATH [BODY]
    status=$(curl -s -m 10 -o "$answer" -w '%{http_code}' -X "$1" "$COORDINATOR_URL$2" \
        -H 'Content-Type: application/json' ${3:+-d "$3"})
}

register() {
    call POST /api/worker/register \
        "{\"worker_id\": \"$id\", \"capabilities\": {\"cpu_cores\": $(nproc), \"ram\": \"1GB\", \"worker_type\": \"cpu\"}}"
    echo "register: $status"
    interval=$(sed -n 's/.*"heartbeat_interval": *\([0-9]*\).*/\1/p' "$answer")
}

heartbeat() {
    call POST /api/worker/heartbeat "{\"worker_id\": \"$id\", \"status\": \"healthy\", \"current_load\": 0.0$((RANDOM % 10))}"
}

goodbye() {
    call DELETE "/api/worker/unregister/$id"
    echo "unregister: $status"
    rm -f "$answer"
    exit 0
}
trap goodbye TERM INT

status=000
until [ "$status" = 200 ]; do
    register
    [ "$status" = 200 ] || sleep 2
done
while true; do
    # a "sleep" in the foreground would hold a signal up
    sleep "${HEARTBEAT_SECONDS:-${interval:-30}}" &
    wait $!
    heartbeat
    case $status in
        200) ;;
        404) register ;;
        *) echo "heartbeat: $status" ;; # the next one may do better
    esac
done
