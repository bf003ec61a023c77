#!/usr/bin/env python3
"""Boots the virtual device and does for it what is done from outside: touches, and looks at the screen.

    boot.py ARCH KERNEL INITRAMFS OUT [--limit S] [--icount] [--cpu NAME] [--card NAME]
    [--truth FILE] [--append WORDS] [--no-panel]

Prints the guest's console with times. Lines of the guest:

    @@ tap X Y              a finger goes down and up there, display px
    @@ press X Y / lift     a finger goes down; it goes up
    @@ two X Y X Y          two fingers go down and up
    @@ shot NAME [WORD...]  the screen is written to OUT/NAME.png; each WORD holds, as in live>20 or alarm=0: the px of a
                            colour on the screen (live, alarm, cue, frozen, object: those of the theme; any: not black)
                            or around=X,Y,R: the object's px in the picture lie around that place, none farther than R;
                            or truth=X,Y,SCALE,PX: of the outline of one of the pictures in --truth, put there with that
                            scale, nine in ten points have one of the object's px nearer than PX;
                            or like=NAME,LEVELS,PX: no more px than that differ by more levels from the screen NAME, or unlike=, more
    @@ await S NAME WORD... the same, again and again until it holds, at most S seconds
    @@ unplug / plug        the touch panel goes away; it comes back
    @@ end N                N failures: the exit status

Each but `end` is answered with a line: ok, or what was wrong.
"""
import argparse
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

COLOURS = {"live": 0x74E08C, "alarm": 0xFF7A66, "cue": 0xFFC857, "frozen": 0xE6EAEE, "object": 0xFFF04A}
SIZE = (800, 480)
MACHINES = {
    "arm64": ["qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "cortex-a76"],
    "amd64": ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max"],
}
CONSOLE = {"arm64": "ttyAMA0", "amd64": "ttyS0"}
PANEL = ["-device", "pcie-root-port,id=socket0,chassis=1,slot=1"]


class Qmp:
    """QEMU's control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        for _ in range(200):
            try:
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


class Device:
    """The virtual device as seen from outside."""

    def __init__(self, qmp, out, truth):
        self.qmp, self.out, self.truth, self.fingers, self.shots = qmp, out, truth, 0, {}

    def events(self, kind, places):
        events = []
        for slot, (x, y) in enumerate(places):
            def touch(what, axis="x", value=0):
                tracking = -1 if what == "end" else self.fingers + slot
                data = {"type": what, "slot": slot, "tracking-id": tracking, "axis": axis, "value": value}
                events.append({"type": "mtt", "data": data})
            if kind == "down":
                touch("begin")
                # The panel's axes go from 0 to 32767.
                touch("data", "x", round((x + 0.5) / SIZE[0] * 32768))
                touch("data", "y", round((y + 0.5) / SIZE[1] * 32768))
            else:
                touch("end")
        self.qmp.do("input-send-event", events=events)
        if kind == "up":
            self.fingers += len(places)

    def tap(self, *numbers):
        places = list(zip(numbers[::2], numbers[1::2]))
        self.events("down", places)
        time.sleep(0.15)
        self.events("up", places)

    def plug(self):
        """The guest may still be letting go of the last one."""
        for attempt in range(100):
            try:
                self.qmp.do("device_add", driver="virtio-multitouch-pci", id="panel", bus="socket0")
                return
            except RuntimeError:
                if attempt == 99:
                    raise
                time.sleep(0.1)

    def shot(self, name, words):
        ppm = self.out / f"{name}.ppm"
        self.qmp.do("screendump", filename=str(ppm))
        for _ in range(100):
            if ppm.exists() and ppm.stat().st_size > SIZE[0] * SIZE[1] * 3:
                break
            time.sleep(0.02)
        width, height, pixels = read_ppm(ppm)
        ppm.unlink()
        write_png(self.out / f"{name}.png", width, height, pixels)
        counts = {colour: count(pixels, rgb) for colour, rgb in COLOURS.items()}
        self.shots[name] = pixels
        counts["any"] = sum(1 for i in range(0, len(pixels), 3) if any(pixels[i:i + 3]))
        wrong = []
        for word in words:
            if word.startswith("around="):
                wrong += astray(pixels, width, *map(float, word[7:].split(",")))
                continue
            if word.startswith("truth="):
                wrong += untrue(pixels, width, self.truth, *map(float, word[6:].split(",")))
                continue
            if word.startswith(("like=", "unlike=")):
                kind, (other, levels, limit) = word.split("=")[0], word.split("=")[1].split(",")
                far = differing(pixels, self.shots[other], int(levels))
                print(f"          {far} px differ from {other}", flush=True)
                if (far <= int(limit)) != (kind == "like"):
                    wrong.append(f"{word}: got {far}")
                continue
            colour, sign, limit = re.fullmatch(r"(\w+)([<>=])(\d+)", word).groups()
            have, limit = counts[colour], int(limit)
            if not {"<": have < limit, ">": have > limit, "=": have == limit}[sign]:
                wrong.append(f"{word}: got {have}")
        print(f"          {name}.png {width}x{height} {counts}", flush=True)
        return ", ".join(wrong)

    def obey(self, words):
        """What was wrong, or nothing."""
        verb, rest = words[0], words[1:]
        if verb == "tap" or verb == "two":
            self.tap(*map(float, rest))
        elif verb == "press":
            self.events("down", [tuple(map(float, rest))])
        elif verb == "lift":
            self.events("up", [(0, 0)])
        elif verb == "unplug":
            self.qmp.do("device_del", id="panel")
        elif verb == "plug":
            self.plug()
        elif verb == "shot":
            return self.shot(rest[0], rest[1:])
        elif verb == "await":
            end = time.monotonic() + float(rest[0])
            while True:
                wrong = self.shot(rest[1], rest[2:])
                if not wrong or time.monotonic() > end:
                    return wrong
                time.sleep(0.3)
        else:
            return f"unknown word {verb}"
        return ""


def differing(pixels, others, levels):
    """The number of px with a colour that differs by more levels."""
    far = [abs(a - b) > levels for a, b in zip(pixels, others)]
    return sum(1 for i in range(0, len(far), 3) if any(far[i:i + 3]))


def read_ppm(path):
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", path.read_bytes())
    return int(header.group(1)), int(header.group(2)), path.read_bytes()[header.end():]


def count(pixels, rgb):
    """px of that colour, give or take what a 16-bit screen loses."""
    want = rgb.to_bytes(3, "big")
    return sum(1 for i in range(0, len(pixels), 3)
               if abs(pixels[i] - want[0]) < 9 and abs(pixels[i + 1] - want[1]) < 9 and abs(pixels[i + 2] - want[2]) < 9)


def read_truth(path):
    """Outlines of pictures: lists of (x, y)."""
    lines = Path(path).read_text().splitlines() if path else []
    return [[tuple(map(float, point.split(","))) for point in line.split()] for line in lines]


def object_px(pixels, width):
    """The object's px in the picture, which is at the left, below the status bar."""
    want = COLOURS["object"].to_bytes(3, "big")
    for at in range(45 * width * 3, 372 * width * 3, 3):
        px, py = at // 3 % width, at // 3 // width
        if px < 570 and all(abs(pixels[at + i] - want[i]) < 9 for i in range(3)):
            yield px, py


def untrue(pixels, width, truth, x, y, scale, reach):
    """What is wrong with the shape of the object's outline: the looped picture that it fits best is the one that may be shown."""
    near = set()
    for px, py in object_px(pixels, width):
        span = range(-int(reach), int(reach) + 1)
        near.update((px + dx, py + dy) for dx in span for dy in span if dx * dx + dy * dy <= reach * reach)
    held = [sum((int(x + px * scale), int(y + py * scale)) in near for px, py in points) / len(points) for points in truth]
    best = max(held)
    print(f"          {best:.2f} of the true outline of picture {held.index(best)}, of the worst {min(held):.2f}", flush=True)
    return [f"{best:.2f} of the true outline"] if best < 0.9 else []


def astray(pixels, width, x, y, radius):
    """What is wrong with the place of the object's outline in the picture."""
    found = list(object_px(pixels, width))
    # Nearer than that there is the marker of the tap.
    outer = sum(1 for px, py in found if ((px - x) ** 2 + (py - y) ** 2) ** 0.5 > radius / 3)
    if outer < 100:
        return [f"outline of {outer} px"]
    mean = [sum(p[i] for p in found) / len(found) for i in (0, 1)]
    far = max(((px - x) ** 2 + (py - y) ** 2) ** 0.5 for px, py in found)
    print(f"          outline around {mean[0]:.0f} {mean[1]:.0f}, {far:.0f} px at most", flush=True)
    off = ((mean[0] - x) ** 2 + (mean[1] - y) ** 2) ** 0.5
    return [f"outline around {mean[0]:.0f} {mean[1]:.0f}, {far:.0f} px at most"] if far > radius or off > radius / 3 else []


def write_png(path, width, height, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * width * 3:(y + 1) * width * 3] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def command(a, control):
    machine = list(MACHINES[a.arch])
    if a.cpu:
        machine[machine.index("-cpu") + 1] = a.cpu
    words = machine + ["-accel", "tcg" if a.icount else "tcg,thread=multi"]
    if a.icount:
        words += ["-icount", "shift=0,sleep=off"]
    words += ["-smp", "1" if a.icount else "2", "-m", "1024", "-nodefaults", "-no-reboot", "-display", "none"]
    words += ["-serial", "stdio", "-qmp", f"unix:{control},server=on,wait=off"]
    size = f",xres={SIZE[0]},yres={SIZE[1]}" if a.card.startswith("virtio") else ""
    words += ["-device", a.card + size] + PANEL
    if not a.no_panel:
        words += ["-device", "virtio-multitouch-pci,id=panel,bus=socket0"]
    words += ["-kernel", a.kernel, "-initrd", a.initramfs]
    return words + ["-append", f"console={CONSOLE[a.arch]} quiet loglevel=3 panic=-1 {a.append}"]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    for name in ("arch", "kernel", "initramfs", "out"):
        parser.add_argument(name)
    parser.add_argument("--limit", type=float, default=300)
    parser.add_argument("--icount", action="store_true")
    parser.add_argument("--no-panel", action="store_true")
    parser.add_argument("--cpu")
    parser.add_argument("--card", default="virtio-gpu-pci")
    parser.add_argument("--truth")
    parser.add_argument("--append", default="")
    a = parser.parse_args()
    out = Path(a.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp()
    control = os.path.join(folder, "qmp")
    began = time.monotonic()
    qemu = subprocess.Popen(command(a, control), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        qmp = Qmp(control)
    except (OSError, ValueError) as e:
        qemu.kill()
        sys.exit(f"Error: QEMU did not begin: {qemu.communicate()[0].decode('utf-8', 'replace').strip() or e}")
    device, status, pending = Device(qmp, out, read_truth(a.truth)), 98, b""
    try:
        while True:
            if time.monotonic() - began > a.limit:
                print(f"boot: {a.limit:.0f} s are over", flush=True)
                status = 124
                break
            if not select.select([qemu.stdout], [], [], 0.5)[0]:
                if qemu.poll() is not None:
                    break
                continue
            read = os.read(qemu.stdout.fileno(), 65536)
            if not read:
                break
            pending += read
            *lines, pending = pending.split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip("\r")
                print(f"[{time.monotonic() - began:7.2f}] {text}", flush=True)
                if not text.startswith("@@ "):
                    continue
                words = text.split()[1:]
                if words[0] == "end":
                    status = int(words[1])
                    continue
                try:
                    wrong = device.obey(words)
                except (RuntimeError, ValueError, OSError) as e:
                    wrong = str(e)
                qemu.stdin.write((wrong or "ok").encode() + b"\n")
                qemu.stdin.flush()
    finally:
        qemu.kill()
        qemu.wait()
    print(f"boot: {status} failures, {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(min(status, 125))


main()
