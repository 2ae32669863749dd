#!/usr/bin/env bash
# What the demo learns from: a net trained on nothing but digits that the tool draws reads real handwriting. Trained in a
# folder of its own, so that nothing is left behind. Needs MNIST: HOST_DATA, the cache, or the network.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --release --package host
host=$PWD/target/release/host
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
mkdir "$folder/models"
cp -r models/strokes-cnn "$folder/models/"
cd "$folder"
"$host" train strokes-cnn --device cpu
"$host" export strokes-cnn
"$host" evaluate strokes-cnn --source mnist --json | tee result

python3 - <<'PY'
import json

accuracy = json.load(open("result"))["accuracy"]
print("ok    " if accuracy >= 0.93 else "FAILED", "drawn digits alone: ≥ 93 % of MNIST's test set")
raise SystemExit(accuracy < 0.93)
PY
