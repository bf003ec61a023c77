#!/usr/bin/env bash
# Makes Debian packages and a tarball from what packaging/install.sh installs: libsonotap0, libsonotap-dev, sonotap-models, and sonotap, the
# device's program, when one is given.
#
#   packaging/packages.sh --arch amd64|arm64 --out DIR [--program FILE]
#
#   --program FILE  the program built with the feature `device` (firmware-config/build-aarch64.sh); for arm64 the library is then of the same
#                   build
set -euo pipefail
cd "$(dirname "$0")/.."
arch='' out='' program=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { echo "$1: expected a value" >&2; exit 2; }
    case $1 in
        --arch) arch=$2 ;;
        --out) out=$2 ;;
        --program) program=$2 ;;
        *) echo "$1: expected --arch, --out or --program" >&2; exit 2 ;;
    esac
    shift 2
done
case $arch in
    amd64) triplet=x86_64-linux-gnu target='' glibc=2.34 ;;
    arm64) triplet=aarch64-linux-gnu target=aarch64-unknown-linux-gnu glibc=2.34 ;;
    *) echo "--arch: expected amd64 or arm64, got '$arch'" >&2; exit 2 ;;
esac
[ -n "$out" ] || { echo "--out: expected a folder" >&2; exit 2; }
mkdir -p "$out"
out=$(cd "$out" && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
abi=$(sed -n 's/^pub const SONOTAP_ABI: u32 = \([0-9]*\);/\1/p' crates/capi/src/types.rs)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
beside='' linked_for=x86_64-unknown-linux-gnu features=''
[ -z "$target" ] || linked_for=$target
[ -z "$target" ] || [ -z "$program" ] || beside=1 features=sonotap/device,sonotap/gif
packaging/install.sh --prefix /usr --libdir "lib/$triplet" --destdir "$work/all" ${target:+--target "$target"} \
    ${beside:+--beside-program} >&2
packaging/licences.sh "$linked_for" "$features" > "$work/all/usr/share/doc/sonotap/THIRD-PARTY-LICENCES.txt"
packaging/sbom.sh "$work/all/usr/share/doc/sonotap/sbom.cyclonedx.json" "$linked_for" "$features"

# A package from a tree: name, architecture, depends, summary.
pack() {
    local name=$1 for_arch=$2 depends=$3 summary=$4 tree=$work/$1
    mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$name"
    local licences=$work/all/usr/share/doc/sonotap/THIRD-PARTY-LICENCES.txt
    if [ "$name" = sonotap ]; then
        licences=$work/of-program
        packaging/licences.sh "$linked_for" device sonotap-cli > "$licences"
    fi
    cat LICENSE-APACHE LICENSE-MIT "$licences" > "$tree/usr/share/doc/$name/copyright"
    {
        echo "Package: $name"
        echo "Version: $version"
        echo "Architecture: $for_arch"
        echo "Maintainer: sonotap <packages@sonotap.invalid>"
        echo "Section: libs"
        echo "Priority: optional"
        echo "Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)"
        [ -z "$depends" ] || echo "Depends: $depends"
        echo "Description: $summary"
        echo " Outlines on live ultrasound, on the device. Not for diagnostic use."
    } > "$tree/DEBIAN/control"
    (cd "$tree" && find . -path ./DEBIAN -prune -o -type f -print | sed 's,^\./,,' | sort | xargs -r md5sum > DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/${name}_${version}_$for_arch.deb" >&2
    echo "$out/${name}_${version}_$for_arch.deb"
}

move() { mkdir -p "$work/$1/$(dirname "$2")"; cp -a "$work/all/$2" "$work/$1/$2"; }

lib=usr/lib/$triplet
move "libsonotap$abi" "$lib/libsonotap.so.$abi.$version"
move "libsonotap$abi" "$lib/libsonotap.so.$abi"
echo "libsonotap $abi libsonotap$abi (>= $version)" > "$work/shlibs"
mkdir -p "$work/libsonotap$abi/DEBIAN"
cp "$work/shlibs" "$work/libsonotap$abi/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' > "$work/libsonotap$abi/DEBIAN/triggers"
for file in usr/include/sonotap.h "$lib/libsonotap.so" "$lib/libsonotap.a" "$lib/pkgconfig/sonotap.pc" "$lib/cmake/sonotap"; do
    move libsonotap-dev "$file"
done
mkdir -p "$work/libsonotap-dev/usr/share/doc"
cp -a "$work/all/usr/share/doc/sonotap" "$work/libsonotap-dev/usr/share/doc/libsonotap-dev"
move sonotap-models usr/share/sonotap/models
pack "libsonotap$abi" "$arch" "libc6 (>= $glibc), libgcc-s1" 'library of sonotap'
pack libsonotap-dev "$arch" "libsonotap$abi (= $version), sonotap-models" 'headers and examples of sonotap'
pack sonotap-models all '' 'models of sonotap'
if [ -n "$program" ]; then
    tree=$work/sonotap
    install -D -m 0755 "$program" "$tree/usr/bin/sonotap"
    install -D -m 0644 firmware-config/udev/70-sonotap.rules "$tree/usr/lib/udev/rules.d/70-sonotap.rules"
    for unit in sonotap sonotap-failed; do
        install -D -m 0644 "firmware-config/systemd/$unit.service" "$tree/usr/lib/systemd/system/$unit.service"
    done
    install -D -m 0644 firmware-config/sysusers.d/sonotap.conf "$tree/usr/lib/sysusers.d/sonotap.conf"
    install -D -m 0644 firmware-config/tmpfiles.d/sonotap.conf "$tree/usr/lib/tmpfiles.d/sonotap.conf"
    install -d "$tree/usr/share/sonotap/profiles"
    install -m 0644 firmware-config/profiles/*.toml "$tree/usr/share/sonotap/profiles/"
    install -D -m 0644 firmware-config/README.md "$tree/usr/share/doc/sonotap/firmware-config/README.md"
    # No profile is put in /etc: the unit starts once the vendor has chosen one.
    pack sonotap "$arch" "libc6 (>= $glibc), libgcc-s1, sonotap-models" 'outlines on live ultrasound, the program of a device'
fi
tar -C "$work/all/usr" --owner=0 --group=0 -cJf "$out/libsonotap-$version-$arch.tar.xz" .
echo "$out/libsonotap-$version-$arch.tar.xz"
