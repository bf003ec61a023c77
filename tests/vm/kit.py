#!/usr/bin/env python3
"""What a virtual device is made of: Debian's own kernel and tools in a cache folder, and an initramfs made of them.

    kit.py CACHE ARCH OUT.cpio.gz SCRIPT [FILE:PLACE ...]

ARCH is arm64 or amd64. SCRIPT runs in the guest after its modules are loaded; FILEs and folders lie at PLACE. Programs among
them bring the shared libraries that they need. Prints the path of the kernel. Nothing but Python, apt-get, dpkg and readelf is used, and /etc/apt and dpkg's
own state stay as they are.
"""
import gzip
import io
import lzma
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUITE = "bookworm"
PACKAGES = [
    "busybox-static", "v4l-utils", "libv4l-0", "libv4lconvert0", "libjpeg62-turbo", "libstdc++6", "libgcc-s1", "libc6",
]
KERNEL = {"arm64": "linux-image-arm64", "amd64": "linux-image-amd64"}
# A webcam; an HDMI input and an HDMI output, which vivid can join, so that a known picture comes through the camera.
VIVID = "n_devs=2 node_types=0x101,0x101 num_inputs=1,1 input_types=0,3 num_outputs=1,1 output_types=1,1"
MODULES = {
    "virtio_pci": "", "virtio-gpu": "", "cirrus": "", "virtio_input": "", "evdev": "", "uinput": "",
    "vivid": os.environ.get("VIVID", VIVID),
}


def mirror_of_this_machine():
    """The Debian mirror of this machine."""
    texts = [p.read_text() for d in ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
             for p in ([Path(d)] if Path(d).is_file() else sorted(Path(d).glob("*.*")) if Path(d).is_dir() else [])]
    found = re.findall(r"^[^#\n]*?(https?://\S+/debian)(?=[\s/]|$)", "\n".join(texts), re.M)
    return os.environ.get("MIRROR") or (found[0] if found else sys.exit("kit: no Debian mirror in /etc/apt; set MIRROR"))


def fetch(cache, arch):
    """Kernel and packages, unpacked below the cache; fetched once."""
    root = cache / arch / "root"
    done = cache / arch / "done"
    if done.exists() and done.read_text() == " ".join(PACKAGES):
        return root
    state = cache / arch / "apt"
    for part in ("etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "lists/partial", "archives/partial", "none"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").write_text("")
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    line = f"deb [arch={arch} signed-by={keys}]"
    mirror = mirror_of_this_machine()
    (state / "sources.list").write_text(f"{line} {mirror} {SUITE} main\n{line} {mirror}-security {SUITE}-security main\n")
    options = {
        "Dir::State": state, "Dir::State::status": state / "status", "Dir::State::lists": state / "lists",
        "Dir::Cache": state, "Dir::Cache::archives": state / "archives", "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": state / "none", "Dir::Etc::preferencesparts": state / "none",
        "APT::Architecture": arch, "APT::Architectures": arch, "APT::Sandbox::User": "root",
        "Acquire::Languages": "none", "Acquire::Retries": "3", "Acquire::Check-Valid-Until": "false",
    }
    apt = [f"-o{k}={v}" for k, v in options.items()]
    debs = cache / arch / "debs"
    debs.mkdir(exist_ok=True)

    def run(*command):
        return subprocess.run(command, check=True, cwd=debs, stdout=subprocess.PIPE, text=True).stdout

    run("apt-get", "-qq", *apt, "update")
    about = run("apt-cache", *apt, "show", "--no-all-versions", KERNEL[arch])
    image = re.search(r"^Depends: (linux-image-\S+)", about, re.M).group(1)
    run("apt-get", "-qq", *apt, "download", image, *PACKAGES)
    root.mkdir(exist_ok=True)
    for deb in sorted(debs.glob("*.deb")):
        run("dpkg", "-x", str(deb), str(root))
        deb.unlink()
    done.write_text(" ".join(PACKAGES))
    return root


def modules_of(root):
    """Names of modules and their files; names of what is built in."""
    files, built_in = {}, set()
    for path in (root / "lib/modules").rglob("*"):
        match = re.fullmatch(r"(.+)\.ko(\.xz)?", path.name)
        if match:
            files[match.group(1).replace("-", "_")] = path
        elif path.name == "modules.builtin":
            built_in = {Path(line).stem.replace("-", "_") for line in path.read_text().split()}
    return files, built_in


def load_order(root):
    """(name, bytes, options) of the modules, each after those it depends on."""
    files, built_in = modules_of(root)
    order = {}

    def add(name, options):
        name = name.replace("-", "_")
        if name in order or name in built_in:
            return
        if name not in files:
            sys.exit(f"kit: the kernel has no module {name}")
        blob = files[name].read_bytes()
        blob = lzma.decompress(blob) if files[name].suffix == ".xz" else blob
        depends = re.search(rb"\0depends=([^\0]*)\0", blob)
        for other in depends.group(1).decode().split(",") if depends else []:
            if other:
                add(other, "")
        order[name] = (blob, options)

    for name, options in MODULES.items():
        add(name, options)
    return order


def libraries(root, program, found):
    """The shared libraries that a program needs, and its loader: place in the guest -> file."""
    said = subprocess.run(["readelf", "-ld", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    places = [root / d for d in ("lib", "usr/lib")]
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", said)
    loader = re.search(r"interpreter: (\S+?)\]", said)
    if loader:
        needed.append(Path(loader.group(1)).name)
    for name in needed:
        if name in found:
            continue
        hits = [p for place in places for p in place.rglob(name)]
        if not hits:
            sys.exit(f"kit: {program} needs {name}, which is in none of {' '.join(PACKAGES)}")
        found[name] = hits[0]
        libraries(root, hits[0], found)
    if loader:
        found["loader"] = loader.group(1)


class Archive:
    """A newc archive, as the kernel takes it for an initramfs."""

    def __init__(self):
        self.out, self.inodes, self.folders = io.BytesIO(), 0, set()

    def entry(self, name, mode, blob=b"", device=(0, 0)):
        self.inodes += 1
        name = name.encode() + b"\0"
        fields = (self.inodes, mode, 0, 0, 1, 0, len(blob), 0, 0, *device, len(name), 0)
        for part in (b"070701" + b"".join(b"%08X" % f for f in fields) + name, blob):
            self.out.write(part)
            self.out.write(b"\0" * (-self.out.tell() % 4))

    def folder(self, path):
        if path and path not in self.folders:
            self.folder(os.path.dirname(path))
            self.folders.add(path)
            self.entry(path, stat.S_IFDIR | 0o755)

    def file(self, path, blob, mode=0o755):
        path = path.lstrip("/")
        self.folder(os.path.dirname(path))
        self.entry(path, stat.S_IFREG | mode, blob)

    def finish(self, path):
        self.entry("TRAILER!!!", 0)
        path.write_bytes(gzip.compress(self.out.getvalue(), 1))


def build(cache, arch, out, script, added):
    root = fetch(cache, arch)
    archive, found = Archive(), {}
    for folder in ("proc", "sys", "dev", "tmp", "run", "etc"):
        archive.folder(folder)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("bin/busybox", (root / "bin/busybox").read_bytes())
    archive.entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    archive.file("init", (HERE / "guest/init").read_bytes())
    archive.file("guest.sh", (HERE / "guest/lib.sh").read_bytes())
    archive.file("test.sh", Path(script).read_bytes())
    order = load_order(root)
    for name, (blob, _) in order.items():
        archive.file(f"modules/{name}.ko", blob, 0o644)
    listed = "".join(f"{name} {options}\n" for name, (_, options) in order.items())
    archive.file("modules/list", listed.encode(), 0o644)
    programs = [(root / "usr/bin/v4l2-ctl", "/bin/v4l2-ctl")]
    for spec in added:
        source, _, place = spec.partition(":")
        source = Path(source)
        inner = [p for p in sorted(source.rglob("*")) if p.is_file()] if source.is_dir() else [source]
        programs += [(p, place if p == source else f"{place}/{p.relative_to(source)}") for p in inner]
    for path, place in programs:
        blob = path.read_bytes()
        if blob[:4] == b"\x7fELF":
            libraries(root, path, found)
        archive.file(place, blob)
    loader = found.pop("loader", None)
    for name, path in found.items():
        archive.file(loader if loader and name == Path(loader).name else f"lib/{name}", path.read_bytes())
    archive.finish(out)
    kernel = sorted((root / "boot").glob("vmlinuz-*"))[-1]
    size = out.stat().st_size / 1e6
    print(f"kit: {kernel.name}, {len(order)} modules, {len(found)} libraries, {size:.1f} MB", file=sys.stderr)
    return kernel


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[2] not in KERNEL:
        sys.exit(__doc__)
    print(build(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4], sys.argv[5:]))
