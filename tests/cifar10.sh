#!/usr/bin/env bash
# The shipped net for CIFAR-10 against its promises, on all of the test set: accuracy in float and int8, board equal to twin bit
# for bit, cost on the board. Needs the data set: HOST_DATA, the cache, or the network.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
evaluate() { cargo host evaluate cifar10-vgg-small --json "$@"; }

evaluate --on float | tee "$results/float"
evaluate --on int8 | tee "$results/int8"
# `evaluate` on a board fails at the first logit that is not the twin's.
evaluate --on mps2-an386 --limit 100
cargo host verify cifar10-vgg-small --on mps2-an386
cargo host verify cifar10-vgg-small --on mps3-an547 --samples 4

python3 - "$results" models/cifar10-vgg-small/cifar10-vgg-small.thm <<'PY'
import json, os, sys

read = lambda name: json.load(open(f"{sys.argv[1]}/{name}"))
float_, int8 = read("float"), read("int8")
checks = {
    "int8 accuracy ≥ 75 %": int8["accuracy"] >= 0.75,
    "int8 at most 0.5 points below float": int8["accuracy"] >= float_["accuracy"] - 0.005,
    "model ≤ 400 KB": os.path.getsize(sys.argv[2]) <= 400 * 1024,
}
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
