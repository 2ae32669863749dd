#!/usr/bin/env bash
# Counts every shipped model anew on each emulated board that its budget names, and fails where a figure is more than
# 2 % above the one there. The budget's own command makes each figure.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
for budget in models/*/budget.toml; do
    while read -r command; do
        # shellcheck disable=SC2086 # the words of a command
        if cargo $command --compare "$budget" --json > /dev/null; then
            echo "within 2 % of its budget: $command"
        else
            failed=1
        fi
    done < <(sed -n 's/^command = "\(host bench .*\)"$/\1/p' "$budget")
done
exit "$failed"
