//! What is installed on a device: profiles that the program takes, rules and units that give away nothing.

use std::path::{Path, PathBuf};

use sonotap::profile::Profile;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-config")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// "Key=value" lines of a unit's section, without comments.
fn section(unit: &str, name: &str) -> Vec<(String, String)> {
    let after = unit.lines().skip_while(|l| *l != format!("[{name}]")).skip(1).take_while(|l| !l.starts_with('['));
    after
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|l| l.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap_or_else(|| panic!("{l}")))
        .collect()
}

#[test]
fn every_profile_is_taken_and_names_a_camera_and_a_screen() {
    let profiles = std::fs::read_dir(folder().join("profiles")).unwrap().map(|e| e.unwrap().path());
    let mut count = 0;
    for path in profiles {
        let profile = Profile::load(&path).unwrap_or_else(|e| panic!("{e}"));
        assert!(profile.camera.is_some() && profile.touch.is_some(), "{}", path.display());
        let again = Profile::parse(&profile.to_toml(), "printed").unwrap();
        assert_eq!(again, profile, "{}", path.display());
        assert!(
            profile.image.mm_per_px.is_none(),
            "{}: a scale that somebody else's scanner may not have",
            path.display()
        );
        count += 1;
    }
    assert!(count >= 3, "{count} profiles");
}

#[test]
fn the_service_can_touch_nothing_but_its_devices() {
    let unit = read("systemd/sonotap.service");
    let service = section(&unit, "Service");
    let values = |key: &str| service.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    for (key, value) in [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("DevicePolicy", "closed"),
        ("ProtectSystem", "strict"),
        ("PrivateNetwork", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX"),
        ("CapabilityBoundingSet", "CAP_SYS_TTY_CONFIG"),
    ] {
        assert_eq!(values(key), [value], "{key}");
    }
    assert_eq!(values("MemoryMax").len(), 1);
    assert!(values("WatchdogSec")[0].parse::<u32>().unwrap() >= 2, "shorter than a camera needs to come back");
    assert!(values("TimeoutStopSec")[0].parse::<u32>().unwrap() >= 2, "shorter than a clean end may take");
    for allowed in values("DeviceAllow") {
        let (device, access) = allowed.split_once(' ').unwrap();
        let known = ["char-video4linux", "char-input", "char-drm", "char-fb", "/dev/tty0"];
        assert!(known.contains(&device) && ["r", "rw"].contains(&access), "{allowed}");
    }
    let groups: Vec<_> = values("SupplementaryGroups")[0].split(' ').collect();
    assert!(!groups.contains(&"input"), "keyboards can be read: {groups:?}");
    assert_eq!(section(&unit, "Unit").iter().find(|(k, _)| k == "OnFailure").unwrap().1, "sonotap-failed.service");
    let start = values("ExecStart")[0];
    assert!(start.starts_with("/usr/bin/sonotap run --config /etc/sonotap/sonotap.toml"), "{start}");
    assert_eq!(values("ExecStopPost"), ["-/usr/bin/sonotap blank --config /etc/sonotap/sonotap.toml"]);
}

#[test]
fn a_remote_screen_opens_one_port_towards_one_network() {
    let profile = Profile::load(&folder().join("remote/sonotap.toml")).unwrap();
    let remote = profile.remote.unwrap();
    let port = remote.address.port();
    let unit = read("systemd/sonotap.service.d/remote.conf");
    let service = section(&unit, "Service");
    let value = |key: &str| service.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
    assert_eq!((value("IPAddressDeny"), value("SocketBindDeny")), ("any", "any"));
    assert_eq!(value("SocketBindAllow"), format!("ipv4:tcp:{port}"));
    assert_eq!(value("IPAddressAllow"), "192.168.7.0/24");
    assert!(remote.address.ip().to_string().starts_with("192.168.7."));
    assert!(remote.button.unwrap().starts_with(format!("/run/{}", value("RuntimeDirectory"))));
    let rules = read("remote/nftables.conf");
    assert_eq!(rules.matches("policy drop").count(), 2, "input and forward are closed");
    let accepted: Vec<_> = rules.lines().filter(|l| l.contains("dport") && l.trim_end().ends_with("accept")).collect();
    assert!(accepted.iter().all(|l| l.contains("iifname \"wlan0\"")), "{accepted:?}");
    assert_eq!(accepted.iter().filter(|l| l.contains("tcp")).count(), 1);
    assert!(accepted.iter().any(|l| l.contains(&format!("tcp dport {port}")) && l.contains("192.168.7.0/24")));
    assert!(read("remote/hostapd.conf").contains("\nap_isolate=1\n"), "tablets reach each other");
}

#[test]
fn exams_are_on_a_partition_of_their_own_and_nothing_on_it_or_on_a_stick_is_run() {
    let value = |name: &str, of: &str, key: &str| {
        let lines = section(&read(name), of);
        lines.iter().filter(|(k, v)| k == key && !v.is_empty()).map(|(_, v)| v.clone()).next_back().unwrap_or_default()
    };
    let place = value("exams/var-lib-sonotap.mount", "Mount", "Where");
    let (drop_in, service) = ("exams/exams.conf", "Service");
    assert_eq!(value(drop_in, "Unit", "RequiresMountsFor"), place);
    let states = value(drop_in, service, "StateDirectory");
    let state = format!("/var/lib/{}", states.split(' ').next().unwrap());
    assert!(states.split(' ').all(|s| format!("/var/lib/{s}").starts_with(&format!("{place}/"))), "{states}");
    assert!(state.starts_with(&format!("{place}/")) && value(drop_in, service, "StateDirectoryMode") == "0700");
    let start = value(drop_in, service, "ExecStart");
    let plain = section(&read("systemd/sonotap.service"), service);
    let plain = &plain.iter().find(|(k, _)| k == "ExecStart").unwrap().1;
    assert_eq!(start, format!("{plain} --save-exam {state}"));
    let user = value(drop_in, service, "User");
    assert!(read("exams/sysusers.conf").contains(&format!("u {user} ")), "nobody makes the owner of the exams");
    // Files that are there already belong to whoever wrote them.
    assert_eq!(value(drop_in, service, "DynamicUser"), "no");
    for mount in ["exams/var-lib-sonotap.mount", "exams/media-stick.mount"] {
        let options = value(mount, "Mount", "Options");
        let options: Vec<_> = options.split(',').collect();
        assert!(["nodev", "nosuid", "noexec"].iter().all(|o| options.contains(o)), "{mount}: {options:?}");
        for unsafe_one in ["nobarrier", "barrier=0", "data=writeback", "async", "noload"] {
            assert!(!options.contains(&unsafe_one), "{mount}: {unsafe_one} loses what was acknowledged");
        }
    }
    let options = value("exams/media-stick.mount", "Mount", "Options");
    assert!(options.contains(&format!("uid={user},")) && options.contains("umask=0077"), "{options}");
    let rules = read("exams/71-sonotap-stick.rules");
    assert!(rules.contains("ENV{ID_BUS}!=\"usb\", GOTO=") && rules.contains("media-stick.mount"));
    assert!(!rules.contains("RUN"), "a stick runs something");
    assert!(read("exams/fstab").lines().any(|l| l.starts_with("/dev/root") && l.contains(" ro,")));
}

#[test]
fn a_service_that_keeps_failing_says_so_on_the_screen_and_is_tried_again() {
    let unit = read("systemd/sonotap-failed.service");
    let service = section(&unit, "Service");
    let start = &service.iter().find(|(k, _)| k == "ExecStart").unwrap().1;
    assert!(start.contains(" blank ") && start.contains("--text ") && start.contains("--seconds 60"), "{start}");
    let again = section(&unit, "Unit").iter().find(|(k, _)| k == "OnSuccess").unwrap().1.clone();
    assert_eq!(again, "sonotap.service");
    assert!(!service.iter().any(|(k, v)| k == "DeviceAllow" && v.contains("input")), "it reads no touch panel");
    let sysusers = read("sysusers.d/sonotap.conf");
    assert!(sysusers.contains("g sonotap-touch"), "nobody makes the group of the touch panels");
    let rules = read("udev/70-sonotap.rules");
    let touch = rules.lines().find(|l| l.contains("ID_INPUT_TOUCHSCREEN")).unwrap();
    assert!(touch.contains("GROUP=\"sonotap-touch\""), "{touch}");
}

#[test]
fn no_rule_gives_the_world_a_device() {
    let rules = read("udev/70-sonotap.rules");
    let mut symlinks = Vec::new();
    for rule in rules.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        for part in rule.split(", ") {
            assert!(part.contains("=") && part.matches('"').count() == 2, "{part:?} in {rule}");
            if let Some(mode) = part.strip_prefix("MODE=\"") {
                assert!(mode.len() == 5 && mode.starts_with('0') && mode.ends_with("0\""), "{rule}");
            }
            if let Some(name) = part.strip_prefix("SYMLINK+=\"") {
                symlinks.push(name.trim_end_matches('"').to_owned());
            }
        }
    }
    assert_eq!(symlinks, ["sonotap-camera", "sonotap-touch"]);
}

#[test]
fn recipes_install_files_that_are_there() {
    for recipe in ["buildroot/package/sonotap/sonotap.mk", "yocto/sonotap_0.1.0.bb"] {
        let text = read(recipe);
        let named: Vec<_> =
            text.split_whitespace().filter_map(|w| w.split_once("/firmware-config/").map(|(_, n)| n)).collect();
        assert!(named.len() >= 4, "{recipe}: {named:?}");
        for name in named {
            assert!(folder().join(name).is_file(), "{recipe}: there is no {name}");
        }
        assert!(text.contains("--no-default-features --features device"), "{recipe}");
        let version = env!("CARGO_PKG_VERSION");
        assert!(recipe.contains(version) || text.contains(&format!("SONOTAP_VERSION = {version}")), "{recipe}");
    }
}
