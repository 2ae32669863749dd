#!/usr/bin/env bash
# The shipped digit generator against its promises: what the shipped mnist-cnn says of 10,000 drawings in float and of 2,000 in
# int8, and two grids drawn on an emulated Cortex-M4, of which every pixel must be the twin's. Needs the data set: HOST_DATA,
# the cache, or the network.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
evaluate() { cargo host evaluate mnist-gan --json "$@"; }

evaluate --on float | tee "$results/float"
evaluate --on int8 --limit 2000 | tee "$results/int8"
cargo host verify mnist-gan --samples 2 --on mps2-an386
cargo host run mnist-gan --count 10 --on mps2-an386 --out "$results/digits.png"
cargo host run mnist-gan --seed 2 --class 7 --count 2 --on mps2-an386 --out "$results/sevens.png"

python3 - "$results" <<'PY'
import json, sys

float_, int8 = (json.load(open(f"{sys.argv[1]}/{name}")) for name in ("float", "int8"))
checks = {"int8: pixels at most 2 of 255 from the float model's": int8["difference_to_float"] <= 2}
for name, result in (("float", float_), ("int8", int8)):
    checks[f"{name}: at least 90 % of the drawings surer than 0.9"] = result["sure"] >= 0.9
    checks[f"{name}: at least 95 % taken for what was to be drawn"] = result["as_asked"] >= 0.95
    checks[f"{name}: every class between 4 % and 20 %"] = all(0.04 <= share <= 0.2 for share in result["classes"])
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
