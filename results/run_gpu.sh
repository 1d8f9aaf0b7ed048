#!/usr/bin/env bash
# One whole GPU-versus-CPU run from a source tree, with nothing installed but torch, pytest and
# pytest-benchmark: the tests that need a GPU, then the grid, then everything packed into a folder.
#
#   results/run_gpu.sh [FOLDER] [further options of pytest suites]
#
# Runs within ten minutes on one GPU; RNNBENCH_LIMIT=SECONDS ends the grid earlier, and what it had
# measured by then is kept in the journal: the same command with --rnn-resume goes on.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=${1:-results/gpu}
shift $(($# > 0 ? 1 : 0))
limit=${RNNBENCH_LIMIT:-540}
python=${PYTHON:-python3}
mkdir -p "$folder"
export PYTHONPATH=. PYTHONUNBUFFERED=1

"$python" -m pytest -p rnnbench.measuring.plugin -o addopts="--import-mode=importlib -ra" \
    -m gpu tests/worker/test_clocks.py tests/worker/test_ran.py \
    tests/implementations/test_implementations.py 2>&1 | tee "$folder/gpu-tests.log"
tests=${PIPESTATUS[0]}

command=("$python" -m pytest -p rnnbench.measuring.plugin suites --rnn-grid gpu_cpu
    "--benchmark-json=$folder/gpu-cpu.json" "$@")
{
    echo "PYTHONPATH=. ${command[*]}"
    # SIGINT, so that pytest still writes the file of all that was measured.
    timeout --signal=INT --kill-after=30 "$limit" "${command[@]}"
} 2>&1 | tee "$folder/gpu-cpu.log"
status=${PIPESTATUS[0]}

# gzip removes the file only once its compressed form is whole.
gzip -f "$folder/gpu-cpu.json"
ls -l "$folder"
echo "status of the tests: $tests; of the grid: $status"
exit $((tests > status ? tests : status))
