#!/usr/bin/env bash
# Builds libsonotap and installs it: libraries, header, pkg-config and CMake files, the bundled model, licences.
#
#   packaging/install.sh --prefix P [--destdir D] [--libdir LIB] [--target T] [--features F] [--beside-program]
#
#   --prefix P    where it will be used, such as /usr/local
#   --destdir D   put in front of every installed path, for packages
#   --libdir LIB  below the prefix; lib without it
#   --target T    another processor: aarch64-unknown-linux-gnu, with aarch64-linux-gnu-gcc; see firmware-config/build-aarch64.sh
#   --features F  of the library, for tests
#   --beside-program
#                 for aarch64: one build with the program of a device (firmware-config/build-aarch64.sh), whose crates are used again
#
# Needs Rust and a C linker. A clean build takes some minutes; only crates are downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."
prefix='' destdir='' libdir=lib target='' features='' is_beside=''
while [ $# -gt 0 ]; do
    if [ "$1" = --beside-program ]; then
        is_beside=1
        shift
        continue
    fi
    [ $# -ge 2 ] || { echo "$1: expected a value" >&2; exit 2; }
    case $1 in
        --prefix) prefix=$2 ;;
        --destdir) destdir=$2 ;;
        --libdir) libdir=$2 ;;
        --target) target=$2 ;;
        --features) features=$2 ;;
        *) echo "$1: expected --prefix, --destdir, --libdir, --target, --features or --beside-program" >&2; exit 2 ;;
    esac
    shift 2
done
case $prefix in /*) ;; *) echo "--prefix: expected an absolute path, got '$prefix'" >&2; exit 2 ;; esac

abi=$(sed -n 's/^pub const SONOTAP_ABI: u32 = \([0-9]*\);/\1/p' crates/capi/src/types.rs)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
cargo=${CARGO:-cargo}
strip=strip
if [ "$target" = aarch64-unknown-linux-gnu ]; then
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
    strip=aarch64-linux-gnu-strip
    # As firmware-config/build-aarch64.sh: Debian's compiler, which has the library for it, unless rustup's is asked for.
    if [ "${RUST_AARCH64:-}" != rustup ] && [ -x /usr/bin/cargo ]; then
        cargo=/usr/bin/cargo
        export RUSTC=/usr/bin/rustc
    fi
fi
if [ -z "$is_beside" ]; then
    "$cargo" build --package sonotap-so --release --locked ${target:+--target "$target"} ${features:+--features "$features"}
elif [ "$target" = aarch64-unknown-linux-gnu ] && [ -z "$features" ]; then
    firmware-config/build-aarch64.sh --library
else
    echo "--beside-program: expected --target aarch64-unknown-linux-gnu and no features, got target '$target', features '$features'" >&2
    exit 2
fi

built=${CARGO_TARGET_DIR:-target}${target:+/$target}/release
to=$destdir$prefix
lib=$to/$libdir
install -d "$lib/pkgconfig" "$lib/cmake/sonotap" "$to/include" "$to/share/sonotap/models" "$to/share/doc/sonotap"
install -m 0755 "$built/libsonotap_so.so" "$lib/libsonotap.so.$abi.$version"
"$strip" --strip-unneeded "$lib/libsonotap.so.$abi.$version"
ln -sf "libsonotap.so.$abi.$version" "$lib/libsonotap.so.$abi"
ln -sf "libsonotap.so.$abi" "$lib/libsonotap.so"
install -m 0644 "$built/libsonotap_so.a" "$lib/libsonotap.a"
"$strip" --strip-debug "$lib/libsonotap.a"
install -m 0644 crates/capi/include/sonotap.h "$to/include/sonotap.h"
# Up from the library's folder to the prefix, so that the whole may be moved.
up=$(printf '%s' "$libdir" | sed 's,[^/][^/]*,..,g')
for file in sonotap.pc sonotapConfig.cmake sonotapConfigVersion.cmake; do
    place=$lib/cmake/sonotap
    [ "$file" != sonotap.pc ] || place=$lib/pkgconfig
    sed "s,@VERSION@,$version,g; s,@ABI@,$abi,g; s,@LIBDIR@,$libdir,g; s,@UP@,$up,g" "packaging/$file.in" > "$place/$file"
    chmod 0644 "$place/$file"
done
cp -r models/student models/student-small "$to/share/sonotap/models/"
install -m 0644 LICENSE-APACHE LICENSE-MIT docs/vendors.md "$to/share/doc/sonotap/"
install -d "$to/share/doc/sonotap/examples"
install -m 0644 examples/c/* "$to/share/doc/sonotap/examples/"
echo "$lib/libsonotap.so.$abi"
