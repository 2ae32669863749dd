#!/usr/bin/env bash
# What --equalize and --correct-bias are worth: for MLPerf Tiny's four with random weights, and for models that were trained here,
# the answer's SQNR against the float model without them, with either, and with both.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
cargo run --release --package host --example zoo -- "$results"

# NAME, what to export and what to verify, each in words.
measure() {
    local line="| $1 |" flags answer
    for flags in "" "--equalize" "--correct-bias" "--equalize --correct-bias"; do
        # shellcheck disable=SC2086
        cargo host export $2 $flags > "$results/log"
        # shellcheck disable=SC2086
        cargo host verify $3 --json > "$results/report"
        answer=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["twin"][-1]["sqnr_db"])' < "$results/report")
        line+=$(printf ' %.1f dB |' "$answer")
    done
    echo "$line"
}

echo "| model | neither | --equalize | --correct-bias | both |"
echo "|---|---|---|---|---|"
for name in resnet8 ds-cnn mobilenet-v1-025 autoencoder-640; do
    model="$results/$name"
    measure "$name" "$model.onnx --calibrate $model.npy --out $model" "$model --data $model.npy --samples 50"
done
for name in mnist-cnn mnist-autoencoder cifar10-vgg-small; do
    # Copies: what is shipped stays as it is.
    cp -r "models/$name" "$results/$name"
    measure "$name" "$results/$name" "$results/$name --samples 200"
done
