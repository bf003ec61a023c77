"""A browser through the WebDriver protocol, and PNGs, with Python alone: chromedriver and WebKitWebDriver speak the same."""
import json
import os
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zlib

# Chromium as root and without a GPU, as in a container; WebKit's MiniBrowser of Debian.
CAPABILITIES = {
    "chromedriver": {"browserName": "chrome", "goog:chromeOptions": {"args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,760", "--hide-scrollbars"]}},
    "WebKitWebDriver": {"browserName": "MiniBrowser", "webkitgtk:browserOptions": {
        "binary": "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser", "args": ["--automation"]}},
}


def free_port(host="127.0.0.1"):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class Browser:
    def __init__(self, driver, capabilities=None, home=None):
        port = free_port()
        environment = {**os.environ, "HOME": home} if home else None
        self.process = subprocess.Popen(
            [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        self.root = f"http://127.0.0.1:{port}"
        end = time.time() + 30
        while True:
            try:
                self.call("GET", "/status")
                break
            except OSError:
                if time.time() > end:
                    raise
                time.sleep(0.1)
        asked = {"capabilities": {"alwaysMatch": capabilities or CAPABILITIES[driver]}}
        self.session = self.call("POST", "/session", asked)["sessionId"]
        # WebKitGTK has no touch by its driver.
        self.pointer = "touch" if driver == "chromedriver" else "mouse"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise RuntimeError(f"{method} {path}: {e.read()[:400]!r}") from e

    def do(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self.do("POST", "/url", {"url": url})

    def js(self, text, *arguments):
        return self.do("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def wait(self, text, seconds=20):
        """Until an expression is true; gives its value."""
        end = time.time() + seconds
        while time.time() < end:
            value = self.js(f"return {text}")
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"after {seconds} s: {text}: {self.js(STATE)}")

    def tap(self, x, y, kind=None, hold_ms=90):
        """At CSS px of the window."""
        kind = kind or self.pointer
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        actions = [move, {"type": "pointerDown", "button": 0}, {"type": "pause", "duration": hold_ms},
                   {"type": "pointerUp", "button": 0}]
        self.do("POST", "/actions", {"actions": [
            {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions}]})

    def type_pin(self, pin):
        self.js("document.getElementById('pin').value = arguments[0]; document.querySelector('#pair button').click()", pin)

    def screenshot(self, path):
        import base64
        png = base64.b64decode(self.do("GET", "/screenshot"))
        with open(path, "wb") as f:
            f.write(png)
        return decode_png(png)

    def close(self):
        try:
            self.do("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()


class Firefox(Browser):
    """Firefox by Marionette, its own protocol: the commands of WebDriver as JSON over a socket, so no driver is needed."""

    PREFERENCES = {
        "app.update.enabled": False, "browser.shell.checkDefaultBrowser": False, "browser.startup.page": 0,
        "datareporting.policy.dataSubmissionEnabled": False, "dom.w3c_touch_events.enabled": 1,
        "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
        "services.settings.server": "data:,", "toolkit.telemetry.server": "data:,",
    }

    def __init__(self):
        self.profile, port = tempfile.TemporaryDirectory(), free_port()
        with open(f"{self.profile.name}/user.js", "w") as f:
            for name, value in {**self.PREFERENCES, "marionette.port": port}.items():
                f.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        command = ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", self.profile.name]
        size = {"MOZ_HEADLESS_WIDTH": "1100", "MOZ_HEADLESS_HEIGHT": "760"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={
            **os.environ, **size, "HOME": self.profile.name, "MOZ_DISABLE_CONTENT_SANDBOX": "1"})
        end = time.time() + 120
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), 60)
                break
            except OSError:
                if time.time() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.2)
        self.reader, self.number, self.pointer = self.socket.makefile("rb"), 0, "touch"
        self.receive()
        self.command("WebDriver:NewSession", {"acceptInsecureCerts": False})

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            byte = self.reader.read(1)
            if not byte:
                raise RuntimeError("Firefox has gone")
            length += byte
        return json.loads(self.reader.read(int(length[:-1])))

    def command(self, name, what):
        self.number += 1
        text = json.dumps([0, self.number, name, what]).encode()
        self.socket.sendall(f"{len(text)}:".encode() + text)
        _, number, error, value = self.receive()
        if error or number != self.number:
            raise RuntimeError(f"{name}: {error}")
        return value.get("value") if isinstance(value, dict) and set(value) == {"value"} else value

    def do(self, method, path, body=None):
        names = {"/url": "WebDriver:Navigate", "/execute/sync": "WebDriver:ExecuteScript", "/actions": "WebDriver:PerformActions",
                 "/screenshot": "WebDriver:TakeScreenshot", "/window/rect": "WebDriver:SetWindowRect"}
        return self.command(names[path], {"full": False} if path == "/screenshot" else body or {})

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        self.profile.cleanup()


STATE = """return JSON.stringify({link: document.body.dataset.link, sign: document.getElementById('sign').textContent,
    refused: document.getElementById('refused').textContent, refusal: document.getElementById('refusal').textContent, drawn: window.sonotap && sonotap.drawn,
    words: window.sonotap && sonotap.words, flags: window.sonotap && sonotap.flags})"""


def decode_png(png):
    """Width, height and rows of (r, g, b) of an 8-bit PNG without interlace."""
    at, data, width, height, channels = 8, b"", 0, 0, 0
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            channels = {2: 3, 6: 4}[colour]
            assert depth == 8 and interlace == 0
        elif kind == b"IDAT":
            data += body
        at += 12 + length
    raw, stride, rows, before = zlib.decompress(data), width * channels, [], bytearray(width * channels)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left = line[i - channels] if i >= channels else 0
            up, corner = before[i], before[i - channels] if i >= channels else 0
            if kind == 1:
                line[i] = line[i] + left & 255
            elif kind == 2:
                line[i] = line[i] + up & 255
            elif kind == 3:
                line[i] = line[i] + (left + up) // 2 & 255
            elif kind == 4:
                p = left + up - corner
                a, b, c = abs(p - left), abs(p - up), abs(p - corner)
                line[i] = line[i] + (left if a <= b and a <= c else up if b <= c else corner) & 255
        rows.append([tuple(line[x * channels:x * channels + 3]) for x in range(width)])
        before = line
    return width, height, rows


def encode_png(rows):
    """Rows of grey bytes as a PNG."""
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
