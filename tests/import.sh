#!/usr/bin/env bash
# Models that were trained elsewhere: small ONNX files of every kind, made here, through export, verify and an emulated
# board. Every layer of the twin must be near the float model, the board equal to the twin; MLPerf Tiny's four are counted.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
cargo run --release --package host --example zoo -- "$results"
printf '%s\n' one two three four five > "$results/qoperator.labels"
for model in "$results"/*.onnx; do
    name=$(basename "$model" .onnx)
    labels=()
    [ ! -f "${model%.onnx}.labels" ] || labels=(--labels "${model%.onnx}.labels")
    cargo host export "$model" --calibrate "${model%.onnx}.npy" "${labels[@]}" --out "$results/$name" --json > "$results/$name.budget"
    cargo host verify "$results/$name" --data "${model%.onnx}.npy" --samples 50 --json > "$results/$name.verify"
    cargo host verify "$results/$name" --data "${model%.onnx}.npy" --samples 1 --on mps2-an386
done
grep -q '\["one", "two", "three", "four", "five"\]' "$results/qoperator/qoperator.rs"
for name in resnet8 ds-cnn mobilenet-v1-025 autoencoder-640; do
    cargo host bench "$results/$name" --on mps2-an386 --json > "$results/$name.bench"
done

python3 - "$results" <<'PY'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
read = lambda name, kind: json.loads((folder / f"{name}.{kind}").read_text())
failed = False
for path in sorted(folder.glob("*.verify")):
    name = path.stem
    report, budget = read(name, "verify"), read(name, "budget")
    worst = min(report["twin"], key=lambda layer: layer["sqnr_db"] or float("inf"))
    arena, bound = budget["ram"]["arena_bytes"], budget["ram"]["arena_lower_bound_bytes"]
    # The largest of a reconstruction's values says nothing.
    agrees = "autoencoder" in name or report["top1_agreement"] >= 0.98
    holds = worst["sqnr_db"] >= 20 and agrees and arena <= 1.1 * bound
    failed |= not holds
    print("ok    " if holds else "FAILED", f"{name}: least SQNR {worst['sqnr_db']:.1f} dB ({worst['name']}), same largest value "
          f"{report['top1_agreement']:.1%}, arena {arena} (lower bound {bound})")
print("\n| model | MACs | instructions, M4 | arena + scratch | model in flash |\n|---|---|---|---|---|")
for path in sorted(folder.glob("*.bench")):
    report = read(path.stem, "bench")
    print(f"| `{path.stem}` | {report['macs']:,} | {report['instructions']:,} | {report['arena_bytes']:,} + "
          f"{report['scratch_bytes']:,} bytes | {report['flash']['model']:,} bytes |")
raise SystemExit(failed)
PY
