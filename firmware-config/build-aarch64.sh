#!/usr/bin/env bash
# Makes sonotap for 64-bit ARM with glibc 2.34 or newer, on Debian, with Debian's own packages. Prints the binary's path.
#
#   firmware-config/build-aarch64.sh            build (about 25 CPU minutes from nothing)
#   firmware-config/build-aarch64.sh --install  install the packages first (as root)
#
# RUST_AARCH64=rustup uses the cargo in PATH, whose toolchain must have the target; without it, Debian's cargo-web.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
packages="cargo-web rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross libclang-dev"
if [ "${1:-}" = --install ]; then
    dpkg --add-architecture arm64
    apt-get update
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi
cargo=/usr/bin/cargo
[ "${RUST_AARCH64:-}" != rustup ] || cargo=cargo
command -v "$cargo" > /dev/null || { echo "no $cargo: run $0 --install, or apt-get install $packages" >&2; exit 2; }
command -v aarch64-linux-gnu-gcc > /dev/null || { echo "no aarch64-linux-gnu-gcc: run $0 --install" >&2; exit 2; }
if [ "$cargo" = /usr/bin/cargo ]; then export RUSTC=/usr/bin/rustc; fi
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# A C compiler for build scripts that look for one by target.
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--target=aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
"$cargo" build --release --locked --target "$target" --no-default-features --features device
echo "${CARGO_TARGET_DIR:-target}/$target/release/sonotap"
