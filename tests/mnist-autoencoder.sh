#!/usr/bin/env bash
# The shipped autoencoder against its promises, on all of MNIST's test set; on the board, the first 200 images, of which
# every output must be the twin's. Needs the data set: HOST_DATA, the cache, or the network.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
evaluate() { cargo host evaluate mnist-autoencoder --json "$@"; }

evaluate --on float | tee "$results/float"
evaluate --on int8 | tee "$results/int8"
# `evaluate` on a board fails at the first output that is not the twin's.
evaluate --on mps2-an386 --limit 200
evaluate --on microbit --limit 50
cargo host verify mnist-autoencoder --on mps2-an386

python3 - "$results" <<'PY'
import json, sys

float_, int8 = (json.load(open(f"{sys.argv[1]}/{name}")) for name in ("float", "int8"))
checks = {
    "binary cross-entropy ≤ 0.074": float_["loss"] <= 0.074,
    "mean squared error ≤ 0.0040": float_["mse"] <= 0.0040,
    "int8: mean squared error at most 3 % above": int8["mse"] <= 1.03 * float_["mse"],
}
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
