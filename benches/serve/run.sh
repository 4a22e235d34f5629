#!/usr/bin/env bash
# How many photos a second `likenet serve` answers, beside its own engine without HTTP, and beside Flask with PyTorch.
#
#     bash benches/serve/run.sh PHOTO [SECONDS]
#
# Needs wrk. For the peer, PEER_PYTHON names a Python with flask, gunicorn, torch, pillow and
# opencv-python-headless below 5 (5 has no cascades).
set -euo pipefail
cd "$(dirname "$0")/../.."
export PHOTO=${1:?a photo} ; seconds=${2:-60}
likenet=target/release/likenet

memory() { awk '/VmRSS/ {printf "%.0f MB", $2 / 1024}' "/proc/$1/status"; }
# Waits until a server answers, for at most half a minute.
until_up() {
    for _ in $(seq 300); do
        curl -sf -o /dev/null --max-time 10 -F "photo=@$PHOTO" "$1" && return
        sleep 0.1
    done
    echo "$1 does not answer" >&2
    exit 1
}
load() { wrk -t1 -c64 "-d$1s" --timeout 30s -s benches/serve/post.lua "$2" | grep '^requests/s'; }

echo "engine, no HTTP: $($likenet bench score "$PHOTO" --seconds 10)"
$likenet serve --port 5098 >/dev/null &
server=$!
trap 'kill $server ${peer:-} 2>/dev/null || true' EXIT
until_up http://127.0.0.1:5098/api/v1/score
load 5 http://127.0.0.1:5098/api/v1/score >/dev/null
echo "likenet serve, 64 connections, $seconds s ($(memory $server) before):"
load "$seconds" http://127.0.0.1:5098/api/v1/score
echo "memory after: $(memory $server)"
kill $server; wait $server || true
echo "engine again: $($likenet bench score "$PHOTO" --seconds 10)"

if [ -n "${PEER_PYTHON:-}" ]; then
    (cd benches/serve && exec "$PEER_PYTHON" -m gunicorn --workers 2 --threads 4 --log-level error --bind 127.0.0.1:5099 flask_demo:app) &
    peer=$!
    until_up http://127.0.0.1:5099/api/v1/score
    load 5 http://127.0.0.1:5099/api/v1/score >/dev/null
    echo "Flask and PyTorch, 2 workers of 4 threads:"
    load "$seconds" http://127.0.0.1:5099/api/v1/score
else
    echo "Flask and PyTorch: not run (PEER_PYTHON is not set)"
fi
