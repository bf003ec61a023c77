SUMMARY = "Outlines on live ultrasound, on the device. Not for diagnostic use"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = " \
    file://LICENSE-APACHE;md5=288526dc6d1f1ba8ce2226ee433ca5c8 \
    file://LICENSE-MIT;md5=f98ae86041c1616f2383e103f1b5dc4a \
"

# The checkout that this recipe lies in, so that recipe and source are of one commit. The crates are those of Cargo.lock,
# fetched before do_compile: inherit cargo-update-recipe-crates and run `bitbake -c update_crates sonotap` once.
inherit externalsrc cargo cargo-update-recipe-crates systemd
EXTERNALSRC = "${THISDIR}/../.."
require ${BPN}-crates.inc

DEPENDS += "clang-native"
export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--sysroot=${STAGING_DIR_TARGET}"
CARGO_BUILD_FLAGS += "--package sonotap-cli --no-default-features --features device"

SYSTEMD_SERVICE:${PN} = "sonotap.service"

do_install:append() {
    install -d ${D}${datadir}/sonotap/models
    cp -r ${S}/models/student ${S}/models/student-small ${D}${datadir}/sonotap/models/
    install -D -m 0644 ${S}/firmware-config/udev/70-sonotap.rules ${D}${nonarch_base_libdir}/udev/rules.d/70-sonotap.rules
    install -D -m 0644 ${S}/firmware-config/systemd/sonotap.service ${D}${systemd_system_unitdir}/sonotap.service
    install -D -m 0644 ${S}/firmware-config/systemd/sonotap-failed.service ${D}${systemd_system_unitdir}/sonotap-failed.service
    install -D -m 0644 ${S}/firmware-config/sysusers.d/sonotap.conf ${D}${nonarch_libdir}/sysusers.d/sonotap.conf
    install -D -m 0644 ${S}/firmware-config/tmpfiles.d/sonotap.conf ${D}${nonarch_libdir}/tmpfiles.d/sonotap.conf
    install -D -m 0644 ${S}/firmware-config/profiles/usb-grabber-raspberry-pi.toml ${D}${sysconfdir}/sonotap/sonotap.toml
}

FILES:${PN} += "${datadir}/sonotap ${nonarch_base_libdir}/udev ${nonarch_libdir}/tmpfiles.d ${nonarch_libdir}/sysusers.d ${systemd_system_unitdir}/sonotap-failed.service"
CONFFILES:${PN} += "${sysconfdir}/sonotap/sonotap.toml"
