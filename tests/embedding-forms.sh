#!/bin/sh
# Accuracy against flash for every form of a text model's embedding: the README's table.
#
#     tests/embedding-forms.sh imdb-lstm-stream int8 four-bit codes-16 codes-8 codes-4 codes-2
#
# Needs runs/MODEL of a finished `host train MODEL`. Takes the net as it was before its embedding became codes (the stages before
# that in the recipe), stores its table in each form without further training, and prints a row each. In int8 on the twin, all
# 25,000 test reviews: one to two minutes a row on two idle cores.
set -eu
cd "$(dirname "$0")/.."
host=${HOST:-"cargo run --quiet --release --package host --"}
model=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$model/runs"
cp -r "runs/$model" "$work/$model/runs/$model"

# The recipe without the stages from the first with codes on, and their folders.
python3 - "models/$model/recipe.toml" "$work/$model" <<'PYTHON'
import re, shutil, sys
from pathlib import Path

text, folder = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
head, *stages = re.split(r"(?m)^(?=\[\[stages\]\])", text)
kept = next((index for index, stage in enumerate(stages) if "codes = true" in stage), len(stages))
(folder / "recipe.toml").write_text(head + "".join(stages[:kept]))
for index in range(kept, len(stages)):
    shutil.rmtree(folder / "runs" / folder.name / f"stage-{index + 2}", ignore_errors=True)
PYTHON

percent() { python3 -c "import json, sys; print(f\"{100 * json.load(sys.stdin)['accuracy']:.2f} %\")"; }
$host train "$work/$model" --resume >/dev/null
echo "form, bytes of model and vocabulary, accuracy on the test set"
first=yes
for form; do
    $host export "$work/$model" --storage "$form" >/dev/null
    if [ "$first" = yes ]; then
        echo "float, -, $($host evaluate "$work/$model" --on float --json | percent)"
        first=no
    fi
    echo "$form, $(wc -c <"$work/$model/$model.thm"), $($host evaluate "$work/$model" --on int8 --json | percent)"
done
