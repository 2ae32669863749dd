#!/usr/bin/env bash
# The shipped models of text against their promises: on all of the 25,000 test reviews in float and in int8, and, given as raw
# text, on boards, of which every answer must be the twin's. Needs the data set: HOST_DATA, the cache, or the network.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
for model in imdb-lstm imdb-lstm-stream imdb-microbit; do
    cargo host evaluate "$model" --json --on float | tee "$results/$model.float"
    cargo host evaluate "$model" --json --on int8 | tee "$results/$model.int8"
    cargo host verify "$model" --on mps2-an386 --samples 4
    cargo host bench "$model" --json --on mps2-an386 | tee "$results/$model.bench"
done
# `evaluate` on a board fails at the first answer that is not the twin's.
cargo host evaluate imdb-lstm --on mps2-an386 --limit 500
cargo host evaluate imdb-lstm-stream --on mps2-an386 --limit 500
cargo host evaluate imdb-microbit --on microbit --limit 50
cargo host bench imdb-microbit --json --on microbit | tee "$results/microbit"
for board in mps2-an500 mps2-an505 mps3-an547 mps2-m0; do
    cargo host verify imdb-lstm --on "$board" --samples 4
    cargo host bench imdb-lstm --json --on "$board" | tee "$results/$board"
done

python3 - "$results" <<'PY'
import json, sys

def read(name):
    return json.load(open(f"{sys.argv[1]}/{name}"))

def flash(name):
    return read(f"{name}.bench")["flash"]["model"]

def ram(name):
    bench = read(f"{name}.bench")
    return bench["arena_bytes"] + bench["scratch_bytes"]

accuracy = lambda name, on: read(f"{name}.{on}")["accuracy"]
microbit = read("microbit")
checks = {
    # Before its words became codes, the float model read 86.13 %.
    "imdb-lstm: float ≥ 85.4 %": accuracy("imdb-lstm", "float") >= 0.854,
    "imdb-lstm: int8 ≥ 85.5 %": accuracy("imdb-lstm", "int8") >= 0.855,
    "imdb-lstm: model and vocabulary in 400 KB": flash("imdb-lstm") <= 400_000,
    "imdb-lstm: ≤ 4 KB of RAM": ram("imdb-lstm") <= 4096,
    "imdb-lstm: ≤ 11M instructions on the M4": read("imdb-lstm.bench")["instructions"] <= 11_000_000,
    "imdb-lstm: ≤ 11.5M instructions on the M7": read("mps2-an500")["instructions"] <= 11_500_000,
    "imdb-lstm: ≤ 40M instructions on the M0": read("mps2-m0")["instructions"] <= 40_000_000,
    "imdb-lstm: ≤ 11.5M instructions on the M33": read("mps2-an505")["instructions"] <= 11_500_000,
    "imdb-lstm: ≤ 3M instructions on the M55": read("mps3-an547")["instructions"] <= 3_000_000,
    "imdb-lstm-stream: int8 ≥ 89.0 %": accuracy("imdb-lstm-stream", "int8") >= 0.890,
    "imdb-lstm-stream: model and vocabulary in 320 KB": flash("imdb-lstm-stream") <= 320_000,
    "imdb-lstm-stream: ≤ 4 KB of RAM": ram("imdb-lstm-stream") <= 4096,
    "imdb-lstm-stream: ≤ 8M instructions on the M4": read("imdb-lstm-stream.bench")["instructions"] <= 8_000_000,
    "imdb-microbit: int8 ≥ 88.5 %": accuracy("imdb-microbit", "int8") >= 0.885,
    "imdb-microbit: firmware, model and vocabulary in 256 KB": microbit["flash"]["code"] + microbit["flash"]["model"] <= 256 * 1024,
}
for what, holds in checks.items():
    print("ok    " if holds else "FAILED", what)
raise SystemExit(not all(checks.values()))
PY
