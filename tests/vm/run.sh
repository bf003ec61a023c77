#!/usr/bin/env bash
# Runs one test in the virtual device: tests/vm/run.sh ARCH PROGRAM TEST [OUT] [words for boot.py]
#
# ARCH is arm64 or amd64, PROGRAM a sonotap with feature `device` for it, TEST one of tests/vm/guest: e2e, live, faults, age,
# instructions, depth16, multiplanar, console (needs the example screen_panics, built beside PROGRAM).
# Screens and a log are left in OUT. Needs qemu-system-arm or -x86 8.1 or newer (Debian: bookworm-backports), python3, readelf and a Debian
# mirror.
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=$1 program=$2 test=$3 out=${4:-target/vm}
shift $(($# < 4 ? $# : 4))
cache=${SONOTAP_VM_CACHE:-${HOME:-.}/.cache/sonotap/vm}
mkdir -p "$cache" "$out"
case $test in e2e | live) looped=$cache/cyst.yuyv ;; *) looped= ;; esac
if [ -n "$looped" ] && [ ! -s "${looped%.yuyv}.truth" ]; then
    cargo run --release --locked --example phantom_yuyv -- cyst 640 480 45 "$looped"
fi
files=("$program:/bin/sonotap" "models/student:/usr/share/sonotap/models/student")
files+=("firmware-config/profiles/vm.toml:/etc/sonotap/sonotap.toml")
[ -z "$looped" ] || files+=("$looped:/cyst.yuyv")
[ "$test" != console ] || files+=("$(dirname "$program")/examples/screen_panics:/bin/screen_panics")
[ "$test" != multiplanar ] || export VIVID="n_devs=1 node_types=0x1 num_inputs=1 input_types=0 multiplanar=2"
words=()
case $test in
    live) words=(--icount --truth "${looped%.yuyv}.truth") ;;
    # Its ROM is for a PC's BIOS, and not in QEMU's own packages.
    depth16) words=(--card cirrus-vga,romfile= --append video=800x480-16) ;;
esac
initramfs=$out/$arch-$test.cpio.gz
kernel=$(python3 tests/vm/kit.py "$cache" "$arch" "$initramfs" "tests/vm/guest/$test.sh" "${files[@]}")
status=0
python3 tests/vm/boot.py "$arch" "$kernel" "$initramfs" "$out" "${words[@]}" "$@" > "$out/$arch-$test.log" 2>&1 || status=$?
rm -f "$initramfs"
grep -aE '\] (ok|FAILED|==|stopped|memory|frames|@@ end|instructions)|"(mean|p50|p99|max)_ms"|^boot|_ms"|\.png|Error|Traceback' "$out/$arch-$test.log" || true
exit "$status"
