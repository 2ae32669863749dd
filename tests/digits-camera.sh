#!/usr/bin/env bash
# The shipped `digits-camera` against its promises: the fixed 5,000 simulated frames with a digit and 1,000 without, the same
# digits in even light, and on a board, which must see every step as the twin does. With --crops the layers are compared one
# by one too, on crops, which takes ten minutes more where they are not in the cache. Needs MNIST: HOST_DATA, the cache, or
# the network.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
evaluate() { cargo host evaluate digits-camera --json "$@"; }

evaluate --frames field | tee "$results/field"
evaluate --frames ideal | tee "$results/ideal"
# `evaluate` on a board fails at the first frame that is not seen as the twin sees it.
evaluate --frames field --on mps2-an386 --limit 200 | tee "$results/board"
[ "${1:-}" != --crops ] || cargo host verify digits-camera --on mps2-an386 --samples 4

python3 - "$results" <<'PY'
import json, sys

field, ideal, board = (json.load(open(f"{sys.argv[1]}/{name}")) for name in ("field", "ideal", "board"))
checks = {
    "field: ≥ 97 % read right": field["accuracy"] >= 0.97,
    "field: ≤ 1 % of what is no digit read as one": field["false_reads"] <= 0.01 * field["digit_free"],
    "ideal: ≥ 99 % read right": ideal["accuracy"] >= 0.99,
    "≤ 6M instructions from the pixels to the answer, mean": board["instructions"]["mean"] <= 6_000_000,
}
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
