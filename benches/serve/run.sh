#!/usr/bin/env bash
# How many photos a second `likenet serve` answers, beside its own engine without HTTP, and beside Flask with PyTorch.
#
#     bash benches/serve/run.sh PHOTO [SECONDS]
#
# Needs wrk. For the peer, PEER_PYTHON names a Python with flask, gunicorn, torch, pillow and opencv-python-headless.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PHOTO=${1:?a photo} ; seconds=${2:-60}
likenet=target/release/likenet

memory() { awk '/VmRSS/ {printf "%.0f MB", $2 / 1024}' "/proc/$1/status"; }
load() { wrk -t1 -c64 "-d$1s" --timeout 30s -s benches/serve/post.lua "$2" | grep '^requests/s'; }

echo "engine, no HTTP: $($likenet bench score "$PHOTO" --seconds 10)"
$likenet serve --port 5098 >/dev/null &
server=$!
trap 'kill $server ${peer:-} 2>/dev/null || true' EXIT
until curl -sf http://127.0.0.1:5098/healthz >/dev/null; do sleep 0.1; done
load 5 http://127.0.0.1:5098/api/v1/score >/dev/null
echo "likenet serve, 64 connections, $seconds s ($(memory $server) before):"
load "$seconds" http://127.0.0.1:5098/api/v1/score
echo "memory after: $(memory $server)"
kill $server; wait $server || true
echo "engine again: $($likenet bench score "$PHOTO" --seconds 10)"

if [ -n "${PEER_PYTHON:-}" ]; then
    (cd benches/serve && exec "$PEER_PYTHON" -m gunicorn --workers 2 --threads 4 --log-level error --bind 127.0.0.1:5099 flask_demo:app) &
    peer=$!
    until curl -sf -F photo=@"$PHOTO" http://127.0.0.1:5099/api/v1/score >/dev/null; do sleep 0.5; done
    load 5 http://127.0.0.1:5099/api/v1/score >/dev/null
    echo "Flask and PyTorch, 2 workers of 4 threads:"
    load "$seconds" http://127.0.0.1:5099/api/v1/score
else
    echo "Flask and PyTorch: not run (PEER_PYTHON is not set)"
fi
