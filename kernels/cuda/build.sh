#!/usr/bin/env bash
# Makes the PTX beside the sources, on any machine with Linux, Python and no GPU: kernels/cuda/build.sh
# With --check: makes it elsewhere, compares, and asks ptxas for registers, spills and shared memory.
set -euo pipefail
cd "$(dirname "$0")"
tools=${LIKENET_CUDA_TOOLS:-../../target/cuda-tools}
if ! [ -x "$tools/bin/python" ]; then
    python3 -m venv "$tools"
    # 12.4 gives PTX 8.4, which drivers from 550 on accept.
    "$tools/bin/pip" install --quiet 'nvidia-cuda-nvrtc-cu12==12.4.127' 'nvidia-cuda-nvcc-cu12==12.4.131'
fi
exec "$tools/bin/python" build.py "$@"
