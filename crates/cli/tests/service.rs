//! What a service manager hears: ready after the first picture, alive while pictures go on, stopping at the end.
#![cfg(feature = "device")]

use std::os::unix::net::UnixDatagram;
use std::process::Command;

/// The folder of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn a_service_manager_hears_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    // Heard as it comes, for the kernel keeps few messages and whoever sends more waits.
    let listener = std::thread::spawn(move || {
        let (mut heard, mut words) = (Vec::<String>::new(), [0; 256]);
        while heard.last().is_none_or(|h| h != "STOPPING=1") {
            let len = manager.recv(&mut words).unwrap();
            heard.push(String::from_utf8_lossy(&words[..len]).trim().to_owned());
        }
        heard
    });
    let output = Command::new(env!("CARGO_BIN_EXE_sonotap"))
        .args(["run", "--source", "phantom:cyst", "--seconds", "2", "--deadline-ms", "5000"])
        .env("SONOTAP_HOME", ROOT)
        .env("NOTIFY_SOCKET", &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let heard = listener.join().unwrap();
    let count = |word: &str| heard.iter().filter(|h| *h == word).count();
    assert_eq!(heard.first().map(String::as_str), Some("READY=1"), "{heard:?}");
    assert_eq!(heard.last().map(String::as_str), Some("STOPPING=1"), "{heard:?}");
    assert_eq!((count("READY=1"), count("STOPPING=1")), (1, 1), "{heard:?}");
    assert!(count("WATCHDOG=1") >= 2, "{heard:?}");
}
