#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: trains every model there and says how fast, then measures a step against PyTorch's (default,
# fastest and compiled). Needs `host setup --gpu`, and python3 with torch for CUDA. What it prints is Markdown for the README.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
cargo host setup --gpu
for recipe in models/*/recipe.toml; do
    model=$(basename "$(dirname "$recipe")")
    cargo host train "$model" --device cuda --json > "$results/$model"
done
python3 - "$results" <<'PY'
import json, pathlib, sys

print("| model | epochs | seconds | samples a second | validation |\n|---|---|---|---|---|")
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    run = json.loads(path.read_text())
    epochs = [json.loads(line) for line in pathlib.Path("runs", run["model"]).rglob("metrics.jsonl").__next__().open()]
    speed = sorted(epoch["images_per_second"] for epoch in epochs)[len(epochs) // 2]
    score = run["validation"] or {}
    print(f"| `{run['model']}` | {run['epochs']} | {run['seconds']:.0f} | {speed:.0f} | {score.get('accuracy') or score.get('loss')} |")
PY
for net in cnn lstm vgg16; do
    python3 host/benches/step_vs_pytorch.py --net "$net" --device cuda
done
