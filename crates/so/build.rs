//! The name by which the dynamic linker knows the library.

fn main() {
    const TYPES: &str = "../capi/src/types.rs";
    println!("cargo:rerun-if-changed={TYPES}");
    let types = std::fs::read_to_string(TYPES).unwrap_or_else(|e| panic!("{TYPES}: {e}"));
    let abi = types.lines().find_map(|l| l.strip_prefix("pub const SONOTAP_ABI: u32 = ")?.strip_suffix(';'));
    let abi = abi.unwrap_or_else(|| panic!("{TYPES}: expected a line `pub const SONOTAP_ABI: u32 = ..;`"));
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsonotap.so.{abi}");
    // Threads and thread-local values may outlive a dlclose.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
