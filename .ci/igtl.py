"""OpenIGTLink against its peers: pyigtl as client and as server, Debian's libopenigtlink as a client.

igtl.py SONOTAP RECEIVER OUT: sends a simulated ellipse of known size, taps it by a taps file, compares label map, outline and measurements
with the truth, and draws them to OUT/igtl.png. Fails with what is wrong.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyigtl
from PIL import Image, ImageDraw

# Ten a second, so that a busy machine still computes most outlines from their own image.
WIDTH, HEIGHT, FPS = 640, 480, 10
MM = np.array([0.15, 0.15])
AXES_MM = np.array([15.0, 9.0])  # half axes
TURN = 0.4  # radians
POSE = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # columns: i to y, j to z, k to x
ORIGIN = np.array([7.0, -30.0, 12.0])
random = np.random.default_rng(1)


def unpack_polydata(self, content):
    """pyigtl 0.3.4 leaves POLYDATA out, and its method to read one does not work."""
    sizes = struct.unpack(">10I", content[:40])
    self.points = np.frombuffer(content[40:40 + sizes[0] * 12], dtype=">f4").reshape(-1, 3).astype(float)
    start = 40 + sizes[0] * 12 + sizes[2]
    self.lines = np.frombuffer(content[start:start + sizes[4]], dtype=">u4").astype(int)


pyigtl.messages.PolyDataMessage._unpack_content = unpack_polydata
pyigtl.messages.message_type_to_class_constructor["POLYDATA"] = pyigtl.messages.PolyDataMessage


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def centre_px(n):
    return np.array([320 + 25 * np.sin(n / 14), 235 + 12 * np.sin(n / 19)])


def inside(x, y, n):
    """Whether places of frame n, px with centres at + 0.5, are inside the ellipse."""
    d = (np.stack([x, y], -1) - centre_px(n)) * MM
    c, s = np.cos(TURN), np.sin(TURN)
    a, b = d[..., 0] * c + d[..., 1] * s, -d[..., 0] * s + d[..., 1] * c
    return (a / AXES_MM[0]) ** 2 + (b / AXES_MM[1]) ** 2 < 1


X, Y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
BLUR = np.hanning(9)[1:-1] / np.hanning(9)[1:-1].sum()


def speckle(width, height):
    """Fully developed speckle of a few px, as the magnitude of filtered complex noise."""
    field = random.normal(size=(height, width)) + 1j * random.normal(size=(height, width))
    field = np.apply_along_axis(lambda row: np.convolve(row, BLUR, "same"), 1, field)
    field = np.apply_along_axis(lambda col: np.convolve(col, BLUR, "same"), 0, field)
    return np.abs(field) / np.abs(field).mean()


TISSUE = speckle(WIDTH + 80, HEIGHT + 40)


def frame(n):
    """Tissue that moves with the ellipse, which is nearly free of echoes."""
    dx, dy = np.round(centre_px(n) - centre_px(0)).astype(int)
    tissue = TISSUE[20 - dy:20 - dy + HEIGHT, 40 - dx:40 - dx + WIDTH]
    amplitude = np.where(inside(X, Y, n), 0.04, 1.0) * tissue + 0.01 * random.random((HEIGHT, WIDTH))
    db = 20 * np.log10(np.maximum(amplitude, 1e-3)) + 45
    return np.clip(db / 60 * 255, 0, 255).astype(np.uint8)


def matrix():
    m = np.eye(4)
    m[:3, :3] = POSE @ np.diag([MM[0], MM[1], 1.0])
    m[:3, 3] = ORIGIN
    return m


def to_world_ras(points_px):
    """Places of the image in the world; the messages are LPS, POLYDATA is RAS."""
    i, j = points_px[..., 0] - 0.5, points_px[..., 1] - 0.5
    lps = i[..., None] * matrix()[:3, 0] + j[..., None] * matrix()[:3, 1] + ORIGIN
    return lps * [-1, -1, 1]


def to_px(points_ras):
    lps = points_ras * [-1, -1, 1] - ORIGIN
    return np.stack([lps @ POSE[:, 0] / MM[0] + 0.5, lps @ POSE[:, 1] / MM[1] + 0.5], -1)


def rings(lines):
    at = 0
    while at < len(lines):
        yield lines[at + 1:at + 1 + lines[at]]
        at += 1 + lines[at]


def area(points):
    x, y = points[:, 0], points[:, 1]
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def expect(what, is_so):
    if not is_so:
        sys.exit(f"igtl: expected {what}")


class Run:
    """A sonotap that is running."""

    def __init__(self, sonotap, *arguments):
        # pyigtl looks for something to send and to receive in turns of 10 ms: its own delay is no fault of the live path.
        line = [sonotap, "run", "--json", "--display", "none", "--deadline-ms", "250", *arguments]
        home = os.environ | {"SONOTAP_HOME": str(Path(__file__).parent.parent)}
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=home)

    def report(self):
        out, _ = self.process.communicate(timeout=200)
        expect(f"a run that ends well, got {self.process.returncode}", self.process.returncode == 0)
        return json.loads(out)


def taps(folder, frame_number, at):
    path = folder / "taps.toml"
    path.write_text(f"[[step]]\nframe = {frame_number}\ntap = [{at[0]:.1f}, {at[1]:.1f}]\n")
    return str(path)


def played(send, receive, seconds):
    """Sends frames at their pace; keeps for each stamp what came back for it."""
    sent, got = {}, {}
    frames = [frame(n) for n in range(int(seconds * FPS))]
    start = time.time()
    for n in range(len(frames)):
        due = start + n / FPS
        while time.time() < due:
            for m in receive():
                got.setdefault((m.message_type, m.device_name), {})[round(m.timestamp, 3)] = m
            time.sleep(0.002)
        pixels = frames[n]
        stamp = round(time.time(), 3)
        send(pyigtl.ImageMessage(pixels[None], ijk_to_world_matrix=matrix(), timestamp=stamp, device_name="Probe"))
        sent[stamp] = (n, pixels)
    return sent, got


def compare(sent, got, name, picture=None):
    """Every label map and outline against the truth of the frame of its own stamp."""
    labels, outlines = got.get(("IMAGE", "SonotapLabels"), {}), got.get(("POLYDATA", "SonotapOutline1"), {})
    strings = {s: json.loads(m.string) for s, m in got.get(("STRING", "Sonotap"), {}).items()}
    found, shown = [], None
    for stamp, polydata in outlines.items():
        if stamp not in sent or stamp not in labels or len(polydata.points) == 0:
            continue
        n, pixels = sent[stamp]
        label, truth = labels[stamp].image[0], inside(X, Y, n)
        expect("labels 0 and 1", set(np.unique(label)) <= {0, 1})
        expect("the sender's matrix on the label map", np.allclose(labels[stamp].ijk_to_world_matrix, matrix(), atol=1e-4))
        ring = [polydata.points[r] for r in rings(polydata.lines)]
        expect("closed lines", all((r[0] == r[-1]).all() for r in ring))
        px = [to_px(r) for r in ring]
        back = max(np.abs(to_world_ras(p) - r).max() for p, r in zip(px, ring))
        expect(f"an outline in the image's plane, {back} mm", back < 1e-3)
        drawn = Image.new("1", (WIDTH, HEIGHT))
        outer = max(px, key=area)
        # Pillow fills pixels whose corner is inside; the map is by centres.
        ImageDraw.Draw(drawn).polygon([tuple(p - 0.5) for p in outer], fill=1)
        mm2 = area(outer[:-1]) * MM[0] * MM[1]
        distance = abs(np.sqrt(mm2 / np.pi) - np.sqrt(AXES_MM.prod()))
        off = np.array([(X[label > 0].mean() - X[truth].mean()), (Y[label > 0].mean() - Y[truth].mean())]) * MM
        found.append((iou(label > 0, truth), iou(np.array(drawn), label > 0), mm2, distance, *off))
        if stamp in strings:
            said = strings[stamp]
            expect("an exact object", said["objects"][0]["state"] == "exact")
            said_mm2 = said["objects"][0]["measurements"]["area_mm2"]
            expect(f"one area in STRING and POLYDATA, {said_mm2} and {mm2}", abs(said_mm2 / mm2 - 1) < 0.02)
        if len(found) > 5:
            shown = (pixels, label, px, n)
    expect(f"{name}: at least 20 outlines, got {len(found)} (labels {len(labels)}, outlines {len(outlines)})", len(found) >= 20)
    table = np.array(found)
    true_mm2 = np.pi * AXES_MM.prod()
    print(f"{name}: {len(sent)} images sent, {len(strings)} states, {len(found)} outlines of the image of their stamp")
    print(f"  label map against the ellipse: IoU median {np.median(table[:, 0]):.3f}, least {table[:, 0].min():.3f}")
    print(f"  outline against label map: IoU least {table[:, 1].min():.4f}")
    print(f"  area mm2: median {np.median(table[:, 2]):.1f}, true {true_mm2:.1f}; radius off by {np.median(table[:, 3]):.2f} mm")
    middle = np.median(table[:, 4:], axis=0)
    print(f"  middle off by {middle[0]:+.3f} and {middle[1]:+.3f} mm")
    expect(f"an outline in its place, {middle} mm", np.abs(middle).max() < 0.3)
    expect("an ellipse like the true one", np.median(table[:, 0]) > 0.8)
    expect("an outline like the label map", table[:, 1].min() > 0.98)
    if picture:
        draw_to(picture, *shown)
    return strings


def draw_to(path, pixels, label, px, n):
    """Left what was sent with the truth, right the label map and the outline over it."""
    left = np.stack([pixels] * 3, -1)
    edge = inside(X, Y, n) ^ inside(X + 1.5, Y, n) | (inside(X, Y, n) ^ inside(X, Y + 1.5, n))
    left[edge] = (0, 220, 0)
    right = np.stack([pixels] * 3, -1)
    right[label > 0] = (right[label > 0] * 0.6 + np.array([0, 60, 100])).astype(np.uint8)
    both = Image.fromarray(np.concatenate([left, right], 1))
    pen = ImageDraw.Draw(both)
    for ring in px:
        pen.line([(x + WIDTH - 0.5, y - 0.5) for x, y in ring], fill=(255, 200, 0), width=2)
    both.save(path)


def images_of_a_client(sonotap, out):
    port = free_port()
    run = Run(sonotap, "--source", "igtl:listen", "--igtl", str(port), "--taps", taps(out, 8, centre_px(8)), "--seconds", "20", "--fps", str(FPS))
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", port)
    while not client.is_connected():
        time.sleep(0.02)
    # Said as soon as the model is loaded; until then images would wait in the kernel.
    expect("a state on connecting", client.wait_for_message("Sonotap", 100) is not None)
    sent, got = played(lambda m: client.send_message(m, wait=False), client.get_latest_messages, 9)
    strings = compare(sent, got, "pyigtl as a client", out / "igtl.png")
    expect("an area in mm", any("area_mm2" in (o.get("measurements") or {}) for s in strings.values() for o in s["objects"]))
    # Nothing is sent any more: NO SIGNAL, and the outline is taken back.
    time.sleep(2)
    last = {(m.message_type, m.device_name): m for m in client.get_latest_messages()}
    said = json.loads(last["STRING", "Sonotap"].string)
    expect(f"NO SIGNAL, got {said['says']}", said["says"] == "NO SIGNAL" and said["objects"][0]["state"] in ("hidden", "lost"))
    expect("an empty label map", not last["IMAGE", "SonotapLabels"].image.any())
    expect("an empty outline", len(last["POLYDATA", "SonotapOutline1"].points) == 0)
    client.stop()
    report = run.report()
    print(f"  no signal after the last image: {said['says']}, object {said['objects'][0]['state']}; {json.dumps(report['igtl'])}")


def images_of_a_server(sonotap, out):
    port, theirs = free_port(), free_port()
    server = pyigtl.OpenIGTLinkServer(port=theirs, local_server=True)
    source = f"igtl:127.0.0.1:{theirs}"
    run = Run(sonotap, "--source", source, "--igtl", str(port), "--taps", taps(out, 8, centre_px(8)), "--seconds", "16", "--fps", str(FPS))
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", port)
    while not (server.is_connected() and client.is_connected()):
        time.sleep(0.02)
    expect("a state on connecting", client.wait_for_message("Sonotap", 100) is not None)
    sent, got = played(lambda m: server.send_message(m, wait=False), client.get_latest_messages, 8)
    compare(sent, got, "pyigtl as a server")
    client.stop()
    run.report()
    server.communication_thread_stop_requested = True


def library(sonotap, receiver, out):
    port = free_port()
    steps = out / "phantom.toml"
    steps.write_text("[[step]]\nframe = 15\ntap = [305.0, 240.0]\n")
    run = Run(sonotap, "--source", "phantom:cyst", "--igtl", str(port), "--taps", str(steps), "--seconds", "6")
    got = json.loads(subprocess.run([receiver, "127.0.0.1", str(port), "5"], capture_output=True, text=True, check=True).stdout)
    run.report()
    print("libopenigtlink:", json.dumps({k: v for k, v in got.items() if k != "text"}))
    expect("no message refused by the library", got["bad"] == 0)
    expect("outlines, label maps, states", min(got["outlines"], got["labelled"], got["strings"], got["statuses"]) > 0)
    expect("closed lines", got["closed"])
    expect("the phantom's pixels", got["size"] == [640, 480, 1] and got["spacing"][0] < 1)


def main():
    sonotap, receiver, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    images_of_a_client(sonotap, out)
    images_of_a_server(sonotap, out)
    library(sonotap, receiver, out)


main()
