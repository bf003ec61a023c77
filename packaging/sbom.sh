#!/usr/bin/env bash
# The components of libsonotap in CycloneDX, made by cargo-cyclonedx (cargo install cargo-cyclonedx): packaging/sbom.sh FILE.json [TARGET
# [FEATURES]]
set -euo pipefail
[ $# -ge 1 ] && [ $# -le 3 ] || { echo "usage: $0 FILE.json [TARGET [FEATURES]]" >&2; exit 2; }
target=${2:-x86_64-unknown-linux-gnu} features=${3:-}
file=$(realpath -m "$1")
cd "$(dirname "$0")/.."
cargo cyclonedx --version > /dev/null 2>&1 || { echo 'no cargo-cyclonedx: cargo install cargo-cyclonedx' >&2; exit 2; }
cargo cyclonedx --manifest-path crates/capi/Cargo.toml --format json --no-build-deps --no-default-features --target "$target" \
    ${features:+--features "$features"} \
    --override-filename sonotap-sbom > /dev/null
# Without default features nothing of the window of another member comes in; GIF, which is one of the library, is linked all the same.
# It writes one for every member.
mv crates/capi/sonotap-sbom.json "$file"
find . -name sonotap-sbom.json -not -path './target/*' -delete
