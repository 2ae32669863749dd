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
# As a camera at rest, with one look at each frame.
evaluate --frames field --repeat 16 | tee "$results/field-camera"
evaluate --frames ideal --repeat 16 | tee "$results/ideal-camera"
# `evaluate` on a board fails at the first frame that is not seen as the twin sees it.
evaluate --frames field --on mps2-an386 --limit 200 | tee "$results/board"
evaluate --frames field --on mps2-an386 --limit 200 --repeat 4 | tee "$results/board-camera"
[ "${1:-}" != --crops ] || cargo host verify digits-camera --on mps2-an386 --samples 4

python3 - "$results" <<'PY'
import json, pathlib, sys

result = {path.name: json.load(path.open()) for path in pathlib.Path(sys.argv[1]).iterdir()}
checks = {
    "pictures: ≤ 6M instructions from the pixels to the answer, mean": result["board"]["instructions"]["mean"] <= 6_000_000,
    "a camera's frames: ≤ 6M instructions each": result["board-camera"]["instructions"]["most"] <= 6_000_000,
}
for kind, camera in (("pictures", ""), ("a camera's frames", "-camera")):
    field, ideal = result["field" + camera], result["ideal" + camera]
    checks |= {
        f"{kind}, field: ≥ 97 % read right": field["accuracy"] >= 0.97,
        f"{kind}, field: ≤ 1 % of what is no digit read as one": field["false_reads"] <= 0.01 * field["digit_free"],
        f"{kind}, ideal: ≥ 99 % read right": ideal["accuracy"] >= 0.99,
    }
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
