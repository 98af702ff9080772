#!/bin/sh
# Solves a task file through a service: submits a job, follows its events to the end, prints the
# answer. Then the same for a whole challenges file, where one is given.
#
#   sh examples/solve_with_curl.sh [TASK.json] [URL] [CHALLENGES.json]
set -eu

task=${1:-$(dirname "$0")/6150a2bd.json}
url=${2:-http://127.0.0.1:8400}
challenges=${3:-}

# Sends a file to an address and prints the address of the job or batch that it became.
post() {
    curl --fail-with-body -sS -D - -o /dev/null "$url$1" \
        -H 'Content-Type: application/json' \
        -H "Authorization: Bearer ${HRM_ARC_API_KEY:-none}" \
        --data-binary "@$2" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p'
}

get() {
    curl --fail-with-body -sSN "$url$1" -H "Authorization: Bearer ${HRM_ARC_API_KEY:-none}"
}

job=$(post /v1/jobs "$task")
echo "$job" >&2
get "$job/events" >&2
get "$job"
echo

if [ -n "$challenges" ]; then
    batch=$(post /v1/batches "$challenges")
    echo "$batch" >&2
    get "$batch/events" >&2
    get "$batch/submission.json"
    echo
fi
