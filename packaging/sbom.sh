#!/usr/bin/env bash
# The components of libsonotap in CycloneDX, made by cargo-cyclonedx (cargo install cargo-cyclonedx): packaging/sbom.sh FILE.json
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FILE.json" >&2; exit 2; }
file=$(realpath -m "$1")
cd "$(dirname "$0")/.."
cargo cyclonedx --version > /dev/null 2>&1 || { echo 'no cargo-cyclonedx: cargo install cargo-cyclonedx' >&2; exit 2; }
cargo cyclonedx --manifest-path crates/capi/Cargo.toml --format json --no-build-deps --no-default-features --target x86_64-unknown-linux-gnu \
    --override-filename sonotap-sbom > /dev/null
# Without default features nothing of the window of another member comes in; GIF, which is one of the library, is linked all the same.
# It writes one for every member.
mv crates/capi/sonotap-sbom.json "$file"
find . -name sonotap-sbom.json -not -path './target/*' -delete
