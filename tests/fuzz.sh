#!/usr/bin/env bash
# The fuzzers, for longer than a change should wait: `tests/fuzz.sh [RUNS OF THE CONTAINER'S] [RUNS OF THE IMPORTER'S]`. Needs a
# nightly toolchain and `cargo install cargo-fuzz`. What they find lies in tests/fuzz/artifacts; new inputs stay outside the
# repository.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
mkdir "$work/container" "$work/importer"
# The versions that everything else is built with.
cp ../Cargo.lock fuzz/Cargo.lock

cargo +nightly fuzz run --fuzz-dir fuzz container "$work/container" fuzz/corpus/container -- \
    -runs="${1:-10000000}" -timeout=1 -rss_limit_mb=512 -max_len=4096
# Without AddressSanitizer: the importer has no unsafe code, and with it the host takes much longer to build and to run.
cargo +nightly fuzz run --fuzz-dir fuzz --sanitizer none --features importer importer "$work/importer" fuzz/corpus/importer -- \
    -runs="${2:-200000}" -timeout=1 -rss_limit_mb=2048 -max_len=4096
