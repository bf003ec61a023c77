"""MJPEG beside our stream in one run: the same pictures of one device, over loopback, in the same browser.

Pictures show a number in six blocks. A recorder on the device's own machine knows when each was captured; the browser tells when it
shows a number, read from the pixels at each turn of its screen, for both streams alike.
"""
import http.client
import io
import json
import socket
import threading
import time

from PIL import Image

PAGE = b"<!doctype html><img id=m src=/stream style='width:60%'><canvas id=picture hidden></canvas>"

# Where the blocks are comes with the arguments, as parts of width and height; `copy` draws the MJPEG's picture first.
# A screen that says TOO SLOW is dimmed to half.
READ = """
const [xs, y, copy] = arguments, c = document.getElementById('picture'), pen = c.getContext('2d', {willReadFrequently: copy});
window.shown = [];
let last = -1;
const look = () => {
    if (copy) {
        const m = document.getElementById('m');
        if (m.naturalWidth) {
            if (c.width != m.naturalWidth) { c.width = m.naturalWidth; c.height = m.naturalHeight; }
            pen.drawImage(m, 0, 0);
        }
    }
    let number = 0;
    xs.forEach((x, bit) => {
        const v = pen.getImageData(Math.round(x * c.width), Math.round(y * c.height), 1, 1).data[0];
        if (v > 100) number += 1 << bit; else if (v > 60) number = NaN;
    });
    if (number === number && number != last) { last = number; shown.push([performance.timeOrigin + performance.now(), number]); }
    requestAnimationFrame(look);
};
look();
"""


class Recorder:
    """A tablet on the device's own machine that keeps every picture, with the wall clock's time of its capture, ms."""

    def __init__(self, device, client):
        self.device, self.client, self.pictures, self.offset = device, client, [], 1e99
        self.newest, self.came, self.is_over = None, threading.Condition(), False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.is_over:
            try:
                self.record()
            except (OSError, IndexError, http.client.HTTPException):
                time.sleep(0.1)

    def record(self):
        """Until the stream ends."""
        stream = self.client.stream().makefile("rb")
        while stream.readline() != b"\r\n":
            pass
        connection = http.client.HTTPConnection(self.device.host, self.device.port, timeout=10)
        headers = {"Origin": self.device.url()[:-1], "Cookie": self.client.cookie}
        while not self.is_over:
            message = stream.read(int.from_bytes(stream.read(4), "big"))
            if message[0] != 1:
                continue
            age, sent = (int.from_bytes(message[i:i + 8], "big") / 1e3 for i in (18, 26))
            self.offset = min(self.offset, time.time() * 1e3 - sent)
            jpeg = message[36 + int.from_bytes(message[34:36], "big"):]
            self.pictures.append((sent - age, jpeg))
            with self.came:
                self.newest = (len(self.pictures), jpeg)
                self.came.notify_all()
            body = json.dumps({"picture": int.from_bytes(message[2:10], "big"), "sent_ms": time.monotonic() * 1e3})
            connection.request("POST", "/seen", body, headers)
            connection.getresponse().read()

    def captures(self, xs, y):
        """Times of capture, and the numbers that the pictures show."""
        found = []
        for captured, jpeg in self.pictures:
            image = Image.open(io.BytesIO(jpeg)).convert("L")
            at = lambda x: image.getpixel((round(x * image.width), round(y * image.height)))
            found.append((captured + self.offset, sum(1 << bit for bit, x in enumerate(xs) if at(x) > 80)))
        return found


class Mjpeg:
    """As an IP camera does it: multipart/x-mixed-replace, the newest picture whenever the socket has taken the one before."""

    def __init__(self, recorder):
        self.recorder, self.bytes = recorder, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        asked = stream.recv(4096)
        if not asked.startswith(b"GET /stream"):
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PAGE), PAGE))
            return stream.close()
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=p\r\nCache-Control: no-store\r\n\r\n--p\r\n")
        last = 0
        while True:
            with self.recorder.came:
                while not self.recorder.newest or self.recorder.newest[0] == last:
                    self.recorder.came.wait()
                last, jpeg = self.recorder.newest
            part = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n--p\r\n" % (len(jpeg), jpeg)
            try:
                stream.sendall(part)
            except OSError:
                return
            self.bytes += len(part)


def watch(browser, xs, y, is_mjpeg, seconds):
    """What the page showed, and when, from the first picture on; and the time it took, s."""
    began = time.time()
    browser.js(READ, xs, y, is_mjpeg)
    time.sleep(3 + seconds)
    return browser.js("return shown"), time.time() - began


def ages(shown, captures, settled_ms):
    """Of every picture shown after a while, the time since its capture, ms. Numbers come round every 64 pictures, and a lag may be longer: the
    first picture shown is of the newest round, a later one the next of its number. What would be from the future, or make the lag shorter
    by more than half a second at once, was misread."""
    found, last = [], None
    for at, number in shown:
        times = [captured for captured, n in captures if n == number and captured < at and (last is None or captured >= last[1])]
        if not times:
            continue
        captured = min(times) if last else max(times)
        if last and captured - last[1] > at - last[0] + 500:
            continue
        last = (at, captured)
        if at - shown[0][0] > settled_ms:
            found.append(at - captured)
    return found
