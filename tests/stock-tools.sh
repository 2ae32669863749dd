#!/usr/bin/env bash
# Stock probe-rs tools on emulated boards, served by `host probe serve`: `probe-rs info`, `run`, `attach` and `gdb`,
# `cargo flash` and `cargo embed` with each profile of Embed.toml, and the tests of boards/on-target. What counts is
# what the tools show: the core's ROM table, the firmware's log, the core halted at reset. Profiles of boards that exist
# are read up to the probe, which is not there.
#
# tests/stock-tools.sh [BOARD…]: some of the emulated boards in place of all.
set -euo pipefail
cd "$(dirname "$0")/.."

emulated=(mps2-an386 mps2-an500 mps2-an505 mps3-an547 microbit)
attached=(nrf52840-dk stm32f746g-disco rpi-pico2 microbit)
[ $# -gt 0 ] && emulated=("$@") && attached=()

cargo build --quiet --release --package host
host=$PWD/target/release/host
"$host" setup --probe-tools
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin RUST_BACKTRACE=0 RUST_LOG=error NO_COLOR=1

for target in thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf; do
    compgen -G "$(rustc --print target-libdir --target "$target")/libcore-*.rlib" >/dev/null && continue
    echo "skipped: the installed Rust lacks $target (\`rustup target add\`), and stock tools build by plain cargo"
    exit 0
done

work=$(mktemp -d)
server=
trap 'stop; rm -r "$work"' EXIT
# Ends what runs in the background.
stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; }
    server=
}

# What a tool has shown, without a terminal's control sequences, which also stand for spaces.
shown() { sed -E $'s/\x1b\\[[0-9;?]*[A-Za-z]/ /g; s/[ \r]+/ /g' "$work/shown" | grep -aoE "[[:print:]]+" || true; }
failed() {
    printf 'FAILED %s: %s\n' "$1" "$2"
    shown | tail -40
    exit 1
}

# passes WHAT PATTERN COMMAND…: the command ends well, and what it shows matches.
passes() {
    local what=$1 pattern=$2
    shift 2
    timeout --kill-after 5 120 "$@" </dev/null >"$work/shown" 2>&1 || failed "$what" "exit status $?"
    [ -z "$pattern" ] || shown | grep -qE "$pattern" || failed "$what" "no \"$pattern\""
    echo "ok     $what"
}

# shows WHAT PATTERN COMMAND…: the command, which ends by itself only when it fails, shows the pattern on its terminal.
shows() {
    local what=$1 pattern=$2 tool ended=
    shift 2
    timeout --kill-after 5 120 script -qefc "stty rows 40 cols 120; $*" "$work/shown" </dev/null >/dev/null 2>&1 &
    tool=$!
    until shown | grep -qE "$pattern"; do
        [ -z "$ended" ] || failed "$what" "no \"$pattern\""
        kill -0 "$tool" 2>/dev/null || ended=yes
        sleep 0.2
    done
    # `then` is a command to run while the tool does.
    [ -z "${then:-}" ] || $then || failed "$what" "$then"
    kill "$tool" 2>/dev/null || true
    wait "$tool" 2>/dev/null || true
    echo "ok     $what"
}

# A debugger's view, without a debugger: the core is halted, at the reset handler that the vector table names.
halted_at_reset() {
    python3 - "$1" "$2" <<'PY'
import re, socket, struct, sys, time

for attempt in range(50):
    try:
        stub = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
        break
    except OSError:
        time.sleep(0.2)
else:
    raise SystemExit("nobody listens")

def ask(command):
    stub.sendall(f"${command}#{sum(command.encode()) % 256:02x}".encode())
    answer = b""
    while len(parts := answer.split(b"#")) < 2 or len(parts[1]) < 2:
        answer += stub.recv(4096) or sys.exit("the stub hung up")
    stub.sendall(b"+")
    # `0*"` stands for four zeros.
    return re.sub(r"(.)\*(.)", lambda run: run[1] * (ord(run[2]) - 28), parts[0].split(b"$")[1].decode())

ask("qSupported:hwbreak+")
reason = ask("?")
word = lambda text: struct.unpack("<I", bytes.fromhex(text[:8]))[0]
table = int(sys.argv[2], 16)
reset, pc = word(ask(f"m{table + 4:x},4")), word(ask("pf"))
raise SystemExit(not (reason[0] in "TS" and pc == reset & ~1) and f"{reason}: at {pc:#x}, reset is {reset:#x}")
PY
}

board() {
    local board=$1 core=$2 target=$3 flash=$4 socket=/tmp/thimble-$1.sock
    local elf=$PWD/boards/target/$target/release/$board probe=20b7:9db1:unix:$socket
    local features="--features defmt" embed="cargo embed --release" model="INFO.* $board: model mnist-cnn"
    export PROBE_RS_PROBE=$probe PROBE_RS_CHIP=$board PROBE_RS_CHIP_DESCRIPTION_PATH=${socket%.sock}.yaml
    if [ "$board" = microbit ]; then
        # Its firmware has no log, and its Embed.toml is for the real one's probe.
        unset PROBE_RS_CHIP_DESCRIPTION_PATH
        export PROBE_RS_CHIP=nRF51822_xxAA
        features="" model="" embed="cargo embed --release --probe $probe"
    fi

    "$host" probe serve "$board" 2>"$work/served" &
    server=$!
    until grep -q "is at the probe" "$work/served"; do
        kill -0 "$server" 2>/dev/null || { cat "$work/served"; exit 1; }
        sleep 0.1
    done

    passes "$board: probe-rs info" "$core" probe-rs info --verbose --protocol swd
    pushd "boards/$board" >/dev/null
    passes "$board: cargo embed" "Done processing config profile default" $embed
    passes "$board: host flash" "$board runs mnist-cnn" "$host" flash mnist-cnn --on "$board" --probe "$probe"
    if [ -n "$model" ]; then
        shows "$board: cargo embed rtt" "$model" $embed $features rtt
    else
        shows "$board: cargo embed rtt" " link " $embed rtt
    fi
    then="halted_at_reset 1337 $flash" shows "$board: cargo embed gdb" "GDB stub.* listening" $embed gdb
    passes "$board: cargo flash" "Finished" cargo flash --release $features
    if [ -n "$model" ]; then
        shows "$board: probe-rs run" "$model" probe-rs run "$elf"
        passes "$board: probe-rs reset" "" probe-rs reset
        shows "$board: probe-rs attach" "$model" probe-rs attach "$elf"
    fi
    then="halted_at_reset 1338 $flash" shows "$board: probe-rs gdb" "Firing up GDB stub" \
        probe-rs gdb --reset-halt --gdb-connection-string 127.0.0.1:1338
    popd >/dev/null

    case $board in mps2-an386 | microbit)
        pushd boards/on-target >/dev/null
        local name=${target^^}
        export "CARGO_TARGET_${name//[-.]/_}_RUNNER=probe-rs run" BOARD=$board
        passes "$board: the tests on the core" "[1-9][0-9]* passed; 0 failed" cargo test --release --target "$target"
        unset BOARD
        popd >/dev/null ;;
    esac

    # Behind the server's watchdog; the next client gets a new one.
    kill -9 "$(pgrep -P "$(pgrep -P "$server")" qemu)"
    passes "$board: probe-rs info, when QEMU has been killed" "$core" probe-rs info --verbose --protocol swd
    stop
}

for name in "${emulated[@]}"; do
    case $name in
        mps2-an386) board "$name" "Cortex-M4 ROM" thumbv7em-none-eabihf 0 ;;
        mps2-an500) board "$name" "ROM Table" thumbv7em-none-eabihf 0 ;;
        mps2-an505) board "$name" "PARTNO: Cortex-M33" thumbv8m.main-none-eabihf 10000000 ;;
        mps3-an547) board "$name" "PARTNO: Cortex-M55" thumbv8m.main-none-eabihf 0 ;;
        microbit) board "$name" "Cortex-M0 +ROM" thumbv6m-none-eabi 0 ;;
        *) echo "$name is not emulated"; exit 1 ;;
    esac
done

# A file in place of the firmware, so that nothing is built.
for name in ${attached[@]+"${attached[@]}"}; do
    for profile in default rtt gdb; do
        unset "${!PROBE_RS_@}"
        pushd "boards/$name" >/dev/null
        timeout 60 cargo embed --path "$host" "$profile" </dev/null >"$work/shown" 2>&1 && failed "$name" "a probe is there"
        shown | grep -qiE "failed to open the debug probe|no .*probes? .*found" || failed "$name: $profile" "not read"
        popd >/dev/null
        echo "ok     $name: cargo embed reads $profile"
    done
done
