#!/usr/bin/env bash
# The shipped digit CNN against its promises, on all of MNIST's test set: accuracy in float and int8, board equal to
# twin bit for bit, cost on the board. Needs the data set: HOST_DATA, the cache, or the network.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
evaluate() { cargo host evaluate mnist-cnn --json "$@"; }

evaluate --on float | tee "$results/float"
evaluate --on int8 | tee "$results/int8"
evaluate --on qdq | tee "$results/qdq"
# `evaluate` on a board fails at the first logit that is not the twin's.
evaluate --on mps2-an386
evaluate --on microbit --limit 200
cargo host verify mnist-cnn --on mps2-an386
cargo host bench mnist-cnn --on mps2-an386 --json | tee "$results/bench"
for prefer in speed ram; do
    cargo host bench mnist-cnn --on mps2-an386 --prefer "$prefer" --json | tee "$results/$prefer"
done
for board in mps2-an500 mps2-an505; do
    cargo host bench mnist-cnn --on "$board" --prefer speed --json | tee "$results/$board.speed"
done
for board in mps2-an500 mps2-an505 mps3-an547 microbit; do
    cargo host verify mnist-cnn --on "$board" --samples 4
    cargo host bench mnist-cnn --on "$board" --json | tee "$results/$board"
done

python3 - "$results" <<'PY'
import json, sys

read = lambda name: json.load(open(f"{sys.argv[1]}/{name}"))
float_, int8, qdq, bench = (read(name) for name in ("float", "int8", "qdq", "bench"))
speed, ram, m55 = (read(name) for name in ("speed", "ram", "mps3-an547"))
m7, m33 = (read(f"{name}.speed") for name in ("mps2-an500", "mps2-an505"))
memory = lambda report: report["arena_bytes"] + report["scratch_bytes"]
checks = {
    "int8 accuracy ≥ 99.55 %": int8["accuracy"] >= 0.9955,
    "int8 within 0.05 points of float": abs(int8["accuracy"] - float_["accuracy"]) <= 0.0005 + 1e-9,
    "ONNX Runtime gives ≥ 99.9 % of the classes": qdq["same_class_as_int8"] >= 0.999 * qdq["n"],
    "arena ≤ 8,192 bytes": bench["arena_bytes"] <= 8192,
    "scratch ≤ 4,096 bytes": bench["scratch_bytes"] <= 4096,
    "instructions on M4 ≤ 2.1M": bench["instructions"] <= 2_100_000,
    "--prefer speed: instructions on M4 ≤ 1.5M": speed["instructions"] <= 1_500_000,
    "--prefer speed: instructions on M7 and M33 ≤ 1.6M": max(m7["instructions"], m33["instructions"]) <= 1_600_000,
    "--prefer speed: arena and scratch ≤ 11,264 bytes": memory(speed) <= 11_264,
    "--prefer ram: arena and scratch ≤ 8,704 bytes": memory(ram) <= 8_704,
    "instructions on M55 ≤ 0.6M": m55["instructions"] <= 600_000,
}
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
