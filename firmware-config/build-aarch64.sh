#!/usr/bin/env bash
# Builds sonotap for 64-bit ARM with glibc 2.34 or newer, on Debian 12, with Debian's own packages.
#
#   firmware-config/build-aarch64.sh             build (about 25 CPU minutes from nothing); the last line is the binary's path
#   firmware-config/build-aarch64.sh --packages  install the packages first (as root)
#   firmware-config/build-aarch64.sh --library   build the C library, too, from the same crates with the same features, for
#                                                packaging/install.sh --beside-program
#   firmware-config/build-aarch64.sh --tests     build tests to run under qemu-user, and what the virtual device runs beside sonotap; the
#                                                lines are the paths of the tests
#
# RUST_AARCH64=rustup uses the cargo in PATH, whose toolchain must have the target; without it, Debian's cargo-web.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
packages="cargo-web rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross libclang-dev"
if [ "${1:-}" = --packages ]; then
    dpkg --add-architecture arm64
    apt-get update
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
    exit
fi
cargo=/usr/bin/cargo
[ "${RUST_AARCH64:-}" != rustup ] || cargo=cargo
for needed in "$cargo" aarch64-linux-gnu-gcc; do
    command -v "$needed" > /dev/null || { echo "no $needed: run $0 --packages as root" >&2; exit 2; }
done
[ "$cargo" = cargo ] || export RUSTC=/usr/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# A C compiler for build scripts that look for one by target.
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--target=aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
build="--release --locked --target $target --no-default-features --features device"
if [ "${1:-}" = --tests ]; then
    # shellcheck disable=SC2086 # words
    "$cargo" build $build --example screen_panics
    # shellcheck disable=SC2086 # words
    "$cargo" test $build --no-run --lib --test model --test same_everywhere --message-format=json |
        sed -n 's|.*"executable":"\([^"]*/deps/[^"]*\)".*|\1|p'
elif [ "${1:-}" = --library ]; then
    # shellcheck disable=SC2086 # words
    "$cargo" build --workspace $build
else
    # shellcheck disable=SC2086 # words
    "$cargo" build $build
    echo "${CARGO_TARGET_DIR:-target}/$target/release/sonotap"
fi
