################################################################################
#
# sonotap
#
################################################################################

SONOTAP_VERSION = 0.1.0
SONOTAP_SITE = $(BR2_EXTERNAL_SONOTAP_PATH)/../..
SONOTAP_SITE_METHOD = local
SONOTAP_SUBDIR = crates/cli
SONOTAP_LICENSE = Apache-2.0 or MIT
SONOTAP_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
SONOTAP_CARGO_BUILD_OPTS = --no-default-features --features device
SONOTAP_CARGO_INSTALL_OPTS = --no-default-features --features device
SONOTAP_CARGO_ENV = BINDGEN_EXTRA_CLANG_ARGS="--sysroot=$(STAGING_DIR)"

define SONOTAP_INSTALL_FILES
	mkdir -p $(TARGET_DIR)/usr/share/sonotap/models
	cp -r $(@D)/models/student $(@D)/models/student-small $(TARGET_DIR)/usr/share/sonotap/models/
	$(INSTALL) -D -m 0644 $(@D)/firmware-config/udev/70-sonotap.rules \
		$(TARGET_DIR)/usr/lib/udev/rules.d/70-sonotap.rules
	$(INSTALL) -D -m 0644 $(@D)/firmware-config/profiles/usb-grabber-raspberry-pi.toml \
		$(TARGET_DIR)/etc/sonotap/sonotap.toml
endef
SONOTAP_POST_INSTALL_TARGET_HOOKS += SONOTAP_INSTALL_FILES

define SONOTAP_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/firmware-config/systemd/sonotap.service \
		$(TARGET_DIR)/usr/lib/systemd/system/sonotap.service
	$(INSTALL) -D -m 0644 $(@D)/firmware-config/systemd/sonotap-failed.service \
		$(TARGET_DIR)/usr/lib/systemd/system/sonotap-failed.service
	$(INSTALL) -D -m 0644 $(@D)/firmware-config/sysusers.d/sonotap.conf \
		$(TARGET_DIR)/usr/lib/sysusers.d/sonotap.conf
	$(INSTALL) -D -m 0644 $(@D)/firmware-config/tmpfiles.d/sonotap.conf \
		$(TARGET_DIR)/usr/lib/tmpfiles.d/sonotap.conf
endef

$(eval $(cargo-package))
