"""The remote screen in real browsers: taps, outlines, NO LINK, refusals, slow links. `.ci/remote` calls it.

checks.py SONOTAP OUT [chromedriver|WebKitWebDriver|firefox|tls|attacks|beside|links|figures|mjpeg ...]

Screenshots and figures are left in OUT, to be looked at.
"""
import atexit
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from link import Link
from webdriver import STATE, Browser, Firefox, encode_png, free_port

SONOTAP, OUT = sys.argv[1], sys.argv[2]
GARBAGE = int(os.environ.get("SONOTAP_GARBAGE", "500"))
# From the last picture to NO LINK, and what a browser's timers may add.
LOST_MS = 300
# The colour of the first object's outline, and how far a JPEG may be from it.
OUTLINE, NEAR = (64, 224, 208), 70


class Device:
    """A run of sonotap with a remote screen."""

    def __init__(self, *arguments, host="127.0.0.1", port=None, profile="", source="phantom:cyst", beside=False, tls=False):
        self.host, self.port, self.tls = host, port or free_port(host), tls
        self.folder = tempfile.TemporaryDirectory()
        self.authority = os.path.join(self.folder.name, "authority.pem")
        profile += f"authority = \"{self.authority}\"\n" if tls else ""
        self.button = os.path.join(self.folder.name, "button")
        path = os.path.join(self.folder.name, "sonotap.toml")
        with open(path, "w") as f:
            f.write(f"[remote]\nbutton = \"{self.button}\"\naddress = \"{host}:{self.port}\"\n{profile}")
        # Beside a simulated screen of 60 Hz tablets are mirrors.
        display = ["--flip-hz", "60"] if beside else ["--display", "remote"]
        command = [SONOTAP, "run", "--config", path, "--source", source, "--json", "--loop", *display, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # A check that fails leaves no device running.
        atexit.register(lambda: self.process.poll() is None and self.process.kill())
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()

    def pair(self):
        """Presses the button; gives the PIN and the text of the card."""
        end = time.time() + 30
        while True:
            done = subprocess.run([SONOTAP, "pair", "--button", self.button], capture_output=True, text=True)
            if done.returncode == 0:
                return re.search(r"type (\d{6})", done.stdout).group(1), done.stdout
            assert time.time() < end and self.process.poll() is None, (done.stderr, self.said)
            time.sleep(0.1)

    def url(self, host=None):
        return f"{'https' if self.tls else 'http'}://{host or self.host}:{self.port}/"

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def cpu_s(self, thread):
        """CPU time of a named thread, s."""
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/comm") as f:
                if f.read().strip() == thread:
                    with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as s:
                        return int(s.read().split()[0]) / 1e9
        return 0.0

    def stop(self):
        """Gives the report."""
        self.process.send_signal(signal.SIGTERM)
        out = self.process.stdout.read()
        assert self.process.wait(10) == 0, self.said
        return json.loads(out)


class Client:
    """A tablet without a browser."""

    def __init__(self, device, cookie=""):
        self.device, self.cookie = device, cookie

    def ask(self, method, path, body=None, host=None, origin="own", headers=None):
        own = f"{self.device.host}:{self.device.port}"
        sent = {"Host": host or own, "Cookie": self.cookie, **(headers or {})}
        if origin and method == "POST":
            sent["Origin"] = f"http://{host or own}" if origin == "own" else origin
        connection = http.client.HTTPConnection(self.device.host, self.device.port, timeout=10)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        text = answer.read() if path != "/frames" or answer.status != 200 else b""
        cookie = answer.getheader("Set-Cookie")
        if cookie:
            self.cookie = cookie.split(";")[0]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        connection.close()
        return answer.status, text.decode(errors="replace")

    def stream(self):
        """Opens the picture stream; gives its socket."""
        s = socket.create_connection((self.device.host, self.device.port), timeout=10)
        own = f"{self.device.host}:{self.device.port}"
        s.sendall(f"GET /frames HTTP/1.1\r\nHost: {own}\r\nCookie: {self.cookie}\r\n\r\n".encode())
        return s


def look_on(device, seconds):
    """A tablet without a browser that says at once that it has drawn; gives the pictures that it got."""
    pin, _ = device.pair()
    tablet = Client(device)
    assert tablet.ask("POST", "/pair", {"pin": pin})[0] == 204
    stream = tablet.stream().makefile("rb")
    while stream.readline() != b"\r\n":
        pass
    connection = http.client.HTTPConnection(device.host, device.port, timeout=10)
    own, end, got = f"{device.host}:{device.port}", time.monotonic() + seconds, 0
    while time.monotonic() < end:
        message = stream.read(int.from_bytes(stream.read(4), "big"))
        if message[0] == 1:
            got += 1
            body = json.dumps({"picture": int.from_bytes(message[2:10], "big"), "sent_ms": time.monotonic() * 1e3})
            connection.request("POST", "/seen", body, {"Origin": f"http://{own}", "Cookie": tablet.cookie})
            connection.getresponse().read()
    return got


def check_beside():
    """A screen of the device keeps its deadline with two tablets attached."""
    reports = []
    for tablets in (0, 2):
        device, got = Device(beside=True), []
        threads = [threading.Thread(target=lambda: got.append(look_on(device, 12))) for _ in range(tablets)]
        for t in threads:
            t.start()
            time.sleep(0.7)
        [t.join() for t in threads]
        time.sleep(0 if tablets else 13)
        report = device.stop()
        ages = report["deadline"]["age_at_glass_ms"]
        reports.append((report["live"]["frames"], report["deadline"]["late_under_live"], ages["p50"], ages["p99"], ages["max"]))
        assert all(g > 30 for g in got) and len(got) == tablets, got
    (alone, late_alone, *_), (both, late_both, *_) = reports
    # What is late alone is the machine's; a mirror may not take frames from the screen.
    assert late_both <= late_alone + both // 20 and both > alone * 0.6, reports
    print(f"beside: without tablets, with two: frames, late under LIVE, age p50, p99, max: {reports}; pictures of the tablets {got}")


def percentiles(values):
    values = sorted(values)
    at = lambda p: round(values[min(len(values) - 1, int(p * len(values)))], 1) if values else None
    return {"n": len(values), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}


def paired(browser, device, host=None):
    pin, _ = device.pair()
    browser.open(device.url(host))
    browser.wait("!document.getElementById('pair').hidden")
    browser.type_pin(pin)
    browser.wait("window.sonotap && sonotap.drawn && document.body.dataset.link == 'good' && (sonotap.flags & 1)", 60)


def pair_and_draw(browser, device, host=None):
    """The same over a link that may always be late."""
    pin, _ = device.pair()
    browser.open(device.url(host))
    browser.wait("!document.getElementById('pair').hidden", 40)
    browser.type_pin(pin)
    browser.wait("window.sonotap && sonotap.drawn", 60)


# Remembers the contacts that the page sends, when the link is lost, and when outlines come.
WATCH = """
window.seen = {contacts: [], lost: [], outlined: null, marked: null, down: null, refusal: ''};
const fetchAsWas = window.fetch;
window.fetch = (path, what) => { if (path == 'contact') seen.contacts.push(JSON.parse(what.body)); return fetchAsWas(path, what); };
new MutationObserver(() => { if (document.body.dataset.link == 'lost') seen.lost.push(performance.timeOrigin + performance.now()); })
    .observe(document.body, {attributes: true, attributeFilter: ['data-link']});
new MutationObserver(() => { seen.refusal = document.getElementById('refusal').textContent || seen.refusal; })
    .observe(document.getElementById('refusal'), {childList: true});
document.getElementById('picture').addEventListener('pointerdown', (e) => { seen.down = e.timeStamp; seen.marked = seen.outlined = null; }, true);
const look = () => {
    if (seen.down !== null && sonotap.words.objects) {
        const words = sonotap.words;
        if (seen.marked === null && words.can_clear) seen.marked = performance.now();
        if (seen.outlined === null && words.objects.some((o) => ['outlined', 'carried'].includes(o.outline))) seen.outlined = performance.now();
    }
    requestAnimationFrame(look);
};
look();
"""

# The middle of the largest dark patch within the picture: the phantom's cyst. In CSS px of the window.
DARKEST = """
const c = document.getElementById('picture'), w = c.width, h = c.height, p = c.getContext('2d').getImageData(0, 0, w, h).data;
const cell = 8, columns = Math.floor(w / cell), rows = Math.floor(h / cell), sums = [];
for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
    let sum = 0;
    for (let j = 0; j < cell; j += 2) for (let i = 0; i < cell; i += 2) sum += p[4 * ((y * cell + j) * w + x * cell + i)];
    sums.push(sum);
}
let best = null;
for (let y = rows >> 2; y < rows * 3 >> 2; y++) for (let x = columns >> 2; x < columns * 3 >> 2; x++) {
    let sum = 0;
    for (let j = -2; j <= 2; j++) for (let i = -2; i <= 2; i++) sum += sums[(y + j) * columns + x + i];
    if (!best || sum < best.sum) best = {sum, x: (x + .5) * cell, y: (y + .5) * cell};
}
const r = c.getBoundingClientRect();
return {x: r.left + best.x * r.width / w, y: r.top + best.y * r.height / h};
"""


def coloured(picture, x, y, radius):
    """Pixels of the outline's colour around a place of a screenshot, by the quarter that they are in."""
    width, height, rows = picture
    quarters = [0, 0, 0, 0]
    for v in range(max(0, int(y) - radius), min(height, int(y) + radius)):
        for u in range(max(0, int(x) - radius), min(width, int(x) + radius)):
            r, g, b = rows[v][u]
            # A saturated colour: the picture itself is grey.
            if max(r, g, b) - min(r, g, b) > NEAR:
                quarters[(u > x) + 2 * (v > y)] += 1
    return quarters


def check_browser(driver):
    """A tap gets its outline on the page; controls, a second viewer, NO LINK, and the session afterwards."""
    # WebKit draws by software here: a smaller window and fewer frames, so that a busy machine keeps up.
    device = Device(*([] if driver == "chromedriver" else ["--fps", "8"]))
    browser = Firefox() if driver == "firefox" else Browser(driver)
    try:
        if driver == "WebKitWebDriver":
            browser.do("POST", "/window/rect", {"width": 700, "height": 520})
        paired(browser, device)
        assert browser.js("return document.cookie") == "", "a script can read the cookie"
        assert browser.js("return localStorage.length + sessionStorage.length + location.hash.length") == 0
        browser.js(WATCH)
        place = tap_the_cyst(browser)
        contacts = [c for sent in browser.js("return seen.contacts") for c in sent["contacts"]]
        downs = [c for c in contacts if c["phase"] == "down"]
        assert len(downs) == 1 and downs[0]["frame"] > 0 and downs[0]["picture"] > 0, contacts
        # On a busy machine the picture is LATE or TOO SLOW now and then, and dimmed, or the outline is lost.
        for _ in range(20):
            time.sleep(0.3)
            if not browser.js("return sonotap.words.objects.some((o) => ['outlined', 'carried'].includes(o.outline))"):
                place = tap_the_cyst(browser)
            browser.wait("document.body.dataset.link == 'good'")
            shot = browser.screenshot(f"{OUT}/{driver}-outlined.png")
            scale = shot[0] / browser.js("return innerWidth")
            quarters = coloured(shot, place["x"] * scale, place["y"] * scale, int(110 * scale))
            if min(quarters) > 15 and browser.js("return getComputedStyle(document.getElementById('sign')).display") == "none":
                break
        else:
            raise AssertionError(f"an outline around the tap has pixels in every quarter: {quarters}")
        check_controls(browser, driver)
        check_measuring(browser, driver)
        check_not_taken(browser, driver, place)
        check_hesitation(browser, place)
        check_no_link(device, browser, driver, place)
        check_second_viewer(device, browser)
        check_reconnect(device, browser)
    finally:
        browser.close()
    report = device.stop()
    assert report["remote"]["seen"] > 50, report["remote"]
    print(f"{driver}: outline {quarters} px; {report['remote']}")


def tap_the_cyst(browser):
    """Taps until an outline comes, as a user does. On a busy machine the link is dead now and then, and a tap on a picture that is not
    on the screen any more (of the size before, or too old) is refused."""
    browser.wait("sonotap.figures.drawn > 20")
    for _ in range(30):
        browser.wait("document.body.dataset.link == 'good'")
        place = browser.js(DARKEST)
        browser.js("seen.contacts = []; seen.down = null")
        browser.tap(place["x"], place["y"])
        time.sleep(0.3)
        phases = [c["phase"] for sent in browser.js("return seen.contacts") for c in sent["contacts"]]
        if phases[:1] != ["down"] or phases[-1:] != ["up"]:
            continue
        try:
            browser.wait("sonotap.words.objects.some((o) => ['outlined', 'carried'].includes(o.outline))", seconds=5)
            return place
        except AssertionError as e:
            print(f"a tap without an outline: {e}")
    raise AssertionError(f"no tap was taken: {browser.js(STATE)}")


def press(browser, name):
    browser.wait("document.body.dataset.link == 'good' && !document.querySelector('[data-press=" + name + "]').disabled")
    browser.js("document.querySelector(`[data-press=${arguments[0]}]`).click()", name)


def check_controls(browser, driver):
    names = browser.js("""return [...document.querySelectorAll('button, input, select')].filter((e) => e.offsetParent)
        .map((e) => e.getAttribute('aria-label') || e.textContent || e.labels?.[0]?.textContent || '')""")
    assert all(n.strip() for n in names), f"a control without a name: {names}"
    press(browser, "freeze")
    browser.wait("sonotap.words.mode == 'frozen'")
    browser.wait("document.querySelector('[data-press=freeze]').textContent == 'Go live'")
    first = browser.js("return sonotap.drawn.frame")
    press(browser, "back")
    browser.wait(f"sonotap.words.mode == 'review' && sonotap.drawn.frame < {first}")
    assert browser.js("return document.body.dataset.link") == "good", "a still picture is no lost link"
    browser.js("const s = document.getElementById('scrub'); s.value = 0; s.dispatchEvent(new Event('input'))")
    browser.wait("sonotap.words.cine && sonotap.words.cine[0] == 0")
    time.sleep(0.5)
    browser.screenshot(f"{OUT}/{driver}-review.png")
    press(browser, "freeze")
    browser.wait("sonotap.words.mode == 'live'")
    press(browser, "exclude")
    browser.wait("sonotap.words.tool == 'exclude' && document.querySelector('[data-press=exclude]').getAttribute('aria-pressed') == 'true'")
    press(browser, "include")
    press(browser, "fill")
    browser.wait("sonotap.words.fill == 25")
    press(browser, "undo")
    browser.wait("!sonotap.words.can_clear && sonotap.words.can_redo")
    press(browser, "redo")
    browser.wait("sonotap.words.can_clear")
    press(browser, "clear")
    browser.wait("!sonotap.words.can_clear")


# Where buttons that show something are, and how large they are, in mm of the page.
BUTTONS = """
const mm = parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--mm'));
return [...document.querySelectorAll('#controls button')].filter((b) => b.offsetParent && b.style.visibility != 'hidden').map((b) => {
    const r = b.getBoundingClientRect();
    return [b.textContent, r.width / mm, r.height / mm];
});
"""


def check_measuring(browser, driver):
    """A distance and an ellipse by taps on the page, on a frozen frame; what they say is listed, and gone when the picture goes live."""
    names = lambda: [b[0] for b in browser.js(BUTTONS)]
    assert "Measure" not in names(), "it is live"
    press(browser, "freeze")
    browser.wait("sonotap.words.mode == 'frozen'")
    browser.wait("document.querySelector('[data-press=fill]').textContent == 'Measure'")
    press(browser, "fill")
    browser.wait("sonotap.words.places.length > 1")
    assert {"Distance", "Ellipse", "Trace", "Delete", "More", "Back"} <= set(names()), names()
    upright = browser.js("return innerWidth < innerHeight")
    small = [b for b in browser.js(BUTTONS) if min(b[1:]) < (10 if upright else 14.9)]
    assert not small, f"controls too small for a finger: {small}"
    time.sleep(0.5)
    place = browser.js(DARKEST)
    before = browser.js("return sonotap.words.objects.length")
    def tap(dx, dy, wanted):
        for _ in range(5):
            browser.wait("document.body.dataset.link == 'good'")
            browser.tap(place["x"] + dx, place["y"] + dy)
            try:
                return browser.wait(wanted, seconds=5)
            except AssertionError as e:
                print(f"a tap that did not measure: {e}")
        raise AssertionError(browser.js("return sonotap.words.lines"))
    tap(-40, 0, "sonotap.words.lines.includes('Tap the other end')")
    tap(40, 0, "sonotap.words.lines.some((l) => /^A [0-9.]+.* mm$/.test(l))")
    press(browser, "exclude")
    browser.wait("document.querySelector('[data-press=exclude]').getAttribute('aria-pressed') == 'true'")
    tap(-30, 50, "sonotap.words.lines.includes('Tap the other end of the axis')")
    tap(30, 50, "sonotap.words.lines.includes('Tap a point on the rim')")
    tap(0, 70, "sonotap.words.lines.some((l) => /^B [0-9.]+.* cm² circ [0-9.]+.* mm$/.test(l))")
    lines = browser.js("return sonotap.words.lines")
    assert any(l.startswith("Scale: phantom") for l in lines), lines
    assert browser.js("return sonotap.words.objects.length") == before, "a tap of a caliper became a prompt"
    time.sleep(0.5)
    browser.screenshot(f"{OUT}/{driver}-measured.png")
    press(browser, "clear")
    browser.wait("!sonotap.words.lines.some((l) => l.startsWith('B '))")
    press(browser, "freeze")
    browser.wait("sonotap.words.mode == 'live' && sonotap.words.lines.length == 0")
    browser.wait("document.querySelector('[data-press=include]').textContent == 'Include'")
    print(f"{driver}: measured {lines}")


# The next request with contacts is spoiled, once; what the page says of it is noted with its time.
SPOIL = """
const was = window.fetch, refusal = document.getElementById('refusal');
window.spoiled = 0;
window.refusals = [];
new MutationObserver(() => refusals.push([performance.now(), refusal.textContent])).observe(refusal, {childList: true});
window.fetch = (path, what) => {
    if (path != 'contact') return was(path, what);
    [window.fetch, window.spoiled] = [was, 1];
    if (arguments[0] == 'cut') return Promise.reject(new TypeError('cut'));
    return was(path, {...what, body: what.body.replaceAll(/"picture":[0-9]+/g, '"picture":999999')});
};
"""


def check_not_taken(browser, driver, place):
    """A tap that the device refuses and one that does not reach it: the page says so, for 2 s, and nothing of it is done."""
    for how, words in (("late", "Tap not taken: too late, once more"), ("cut", "Tap not taken: no link")):
        for _ in range(10):
            browser.wait("document.body.dataset.link == 'good' && !document.getElementById('refusal').textContent")
            browser.js(SPOIL, how)
            browser.tap(place["x"], place["y"])
            # On a busy machine the link is dead now and then, and the tap is not even sent.
            if browser.wait("refusals.length && refusals.at(-1)[1]") == words and browser.js("return spoiled"):
                break
        else:
            raise AssertionError(f"{how}: {browser.js('return refusals')}")
        if how == "late":
            browser.screenshot(f"{OUT}/{driver}-not-taken.png")
        browser.wait("refusals.length && refusals.at(-1)[1] == ''")
        first = next(at for at, text in browser.js("return refusals") if text == words)
        stood = browser.js("return refusals.at(-1)[0]") - first
        assert stood > 1900, f"{words}: stood for {stood:.0f} ms"
        assert not browser.js("return sonotap.words.can_clear"), "a tap that was not taken made a marker"


HESITATE = """
window.unhesitating = window.fetch;
window.fetch = async (path, what) => {
    if (path == 'contact') await new Promise((r) => setTimeout(r, 500));
    return unhesitating(path, what);
};
"""


def check_hesitation(browser, place):
    """Contacts that take half a second longer each: a tap is a tap all the same, and no long press."""
    browser.js(HESITATE)
    for _ in range(10):
        browser.wait("document.body.dataset.link == 'good' && !document.getElementById('refusal').textContent")
        browser.js("seen.refusal = ''")
        browser.tap(place["x"], place["y"])
        # Without either a tap was lost without a word. Words are for a machine that was busy at that moment.
        browser.wait("seen.refusal || sonotap.words.can_clear")
        if not browser.js("return seen.refusal"):
            break
    else:
        raise AssertionError(f"no tap was taken: {browser.js('return seen.refusal')}")
    browser.js("window.fetch = unhesitating")
    for _ in range(20):
        browser.js("document.querySelector('[data-press=clear]').click()")
        time.sleep(0.2)
        if not browser.js("return sonotap.words.can_clear || document.body.dataset.link != 'good'"):
            break


def check_no_link(device, browser, driver, place):
    """A stopped server: NO LINK, and taps that go nowhere, then and afterwards."""
    browser.js("seen.lost = []; seen.contacts = []")
    before = browser.js("return performance.timeOrigin + performance.now()")
    os.kill(device.process.pid, signal.SIGSTOP)
    stopped = browser.js("return performance.timeOrigin + performance.now()")
    try:
        lost = browser.wait("seen.lost.length && seen.lost[0]", 5)
        assert lost - stopped <= LOST_MS, f"NO LINK {lost - stopped:.0f} ms after the stop"
        assert browser.js("return document.getElementById('sign').textContent") == "NO LINK"
        browser.tap(place["x"], place["y"])
        browser.js("document.querySelector('[data-press=freeze]').click()")
        assert all(b for b in browser.js("return [...document.querySelectorAll('[data-press]')].map((b) => b.disabled)"))
        browser.screenshot(f"{OUT}/{driver}-no-link.png")
        assert browser.js("return seen.contacts.length") == 0, "a tap on a dead link was sent"
    finally:
        os.kill(device.process.pid, signal.SIGCONT)
    browser.wait("document.body.dataset.link == 'good'")
    time.sleep(0.5)
    browser.wait("document.body.dataset.link != 'lost'")
    assert browser.js("return sonotap.words.mode == 'live' && !sonotap.words.can_clear"), "a dead tap came to life"
    print(f"{driver}: NO LINK {lost - stopped:.0f} to {lost - before:.0f} ms after the server was stopped")


def check_second_viewer(device, browser):
    """A second tablet looks on, is refused, asks, and gets the control."""
    pin, _ = device.pair()
    second = Client(device)
    assert second.ask("POST", "/pair", {"pin": pin})[0] == 204
    stream = second.stream()
    stream.recv(100)
    picture = browser.js("return sonotap.drawn")
    contact = {"sent_ms": 0, "contacts": [{**picture, "finger": 0, "phase": "down", "x": 9, "y": 9, "time_ms": 0, "size_mm": None}]}
    pressed = {"press": "freeze", "at": None, "sent_ms": 0, "time_ms": 0}
    for path, body in (("/contact", contact), ("/press", pressed), ("/screen", {"width": 800, "height": 480, "dpi": 96})):
        assert second.ask("POST", path, body)[0] == 403, path
    assert second.ask("POST", "/control", "ask")[0] == 204
    browser.wait("document.getElementById('role').textContent.includes('asks') && !document.getElementById('give').hidden")
    browser.js("document.getElementById('give').click()")
    browser.wait("!(sonotap.flags & 1) && document.getElementById('role').textContent == 'Looking on'")
    assert second.ask("POST", "/press", pressed)[0] == 204
    browser.wait("sonotap.words.mode == 'frozen'")
    assert second.ask("POST", "/press", pressed)[0] == 204
    browser.wait("sonotap.words.mode == 'live'")
    browser.js("document.getElementById('ask').click()")
    time.sleep(0.3)
    assert second.ask("POST", "/control", "give")[0] == 204
    browser.wait("sonotap.flags & 1")
    stream.close()


def check_reconnect(device, browser):
    """A page that is opened again goes on without a PIN, and with the control."""
    browser.open("about:blank")
    time.sleep(0.3)
    browser.open(device.url())
    browser.wait("window.sonotap && sonotap.drawn && document.body.dataset.link == 'good' && (sonotap.flags & 1)")


def check_tls():
    """By TLS a browser that has taken the device's authority in shows the page without a warning; another refuses it."""
    device = Device(tls=True)
    _, card = device.pair()
    with open(device.authority) as f:
        pem = f.read()
    assert os.stat(device.authority).st_mode & 0o77 == 0 and "PRIVATE KEY" in pem
    with tempfile.TemporaryDirectory() as home:
        with open(f"{home}/authority.crt", "w") as f:
            f.write(pem[:pem.index("-----BEGIN PRIVATE")])
        printed = subprocess.run(["openssl", "x509", "-in", f"{home}/authority.crt", "-noout", "-fingerprint", "-sha256"],
                                 capture_output=True, text=True, check=True).stdout
        assert printed.strip().split("=")[1] in card, (printed, card)
        stranger = Browser("chromedriver", home=home)
        try:
            stranger.open(device.url())
            said = stranger.js("return (window.sonotap ? 'taken' : '') + document.body.innerText")
        except RuntimeError as e:
            said = str(e)
        finally:
            stranger.close()
        assert "ERR_CERT_AUTHORITY_INVALID" in said and "taken" not in said, f"a browser without the authority: {said}"
        database = f"sql:{home}/.pki/nssdb"
        os.makedirs(f"{home}/.pki/nssdb")
        subprocess.run(["certutil", "-d", database, "-N", "--empty-password"], check=True)
        subprocess.run(["certutil", "-d", database, "-A", "-t", "C,,", "-n", "sonotap", "-i", f"{home}/authority.crt"], check=True)
        browser = Browser("chromedriver", home=home)
        try:
            paired(browser, device)
            assert browser.js("return isSecureContext && 'wakeLock' in navigator && location.protocol") == "https:"
            browser.js(WATCH)
            tap_the_cyst(browser)
            browser.screenshot(f"{OUT}/tls.png")
            browser.open(device.url("localhost"))
        finally:
            browser.close()
    status, text = Client(device).ask("GET", "/")
    assert status == 400 and "https://" in text, (status, text)
    for begin in (b"", b"\x16", b"\x16\x03\x01\x02\x00" + b"\0" * 100, b"\0\0"):
        with socket.create_connection((device.host, device.port), timeout=12) as s:
            s.sendall(begin)
            began = time.time()
            try:
                while s.recv(1000):
                    pass
            except ConnectionError:
                pass
            assert time.time() - began < 8, f"{begin[:8]} keeps a connection"
    report = device.stop()
    print(f"TLS: {report['remote']}")


def write_numbers(folder):
    """Pictures that show their number in blocks; how many."""
    for n in range(64):
        rows = [[40 + (x * 7 + y * 13) % 60 for x in range(320)] for y in range(240)]
        for bit in range(6):
            level = 255 if n >> bit & 1 else 0
            for y in range(40, 80):
                rows[y][10 + bit * 50:10 + bit * 50 + 40] = [level] * 40
        with open(f"{folder}/{n:03}.png", "wb") as f:
            f.write(encode_png(rows))
    return 64


def check_frame_numbers(driver):
    """The picture shows the number of its frame in blocks; the page names the same frame, picture for picture."""
    with tempfile.TemporaryDirectory() as folder:
        count = write_numbers(folder)
        fps, least = (8, 25) if driver == "chromedriver" else (4, 8)
        device, browser = Device("--fps", str(fps), source=f"images:{folder}"), Firefox() if driver == "firefox" else Browser(driver)
        try:
            paired(browser, device)
            pairs = []
            for _ in range(40):
                pair = browser.js(ALL_BLOCKS)
                pairs += [pair] if pair else []
                time.sleep(0.7 / fps)
            assert len(pairs) > least, pairs
            # A picture that the player skips on a busy machine widens the distance for good; a wrong name would go to and fro.
            apart = [(p["number"] - p["frame"]) % count for p in pairs]
            steps = [(b - a) % count for a, b in zip(apart, apart[1:])]
            assert sum(steps) < count // 2, f"pictures and the frames that they name do not go together: {apart}"
            assert len({p["frame"] for p in pairs}) > least // 3 and all(p["frame"] == p["named"] for p in pairs)
        finally:
            browser.close()
            device.stop()
    print(f"{driver}: {len(pairs)} pictures show the frame that they name")


# Reads the six blocks wherever the frame lies in the picture: its bounds are those of what is not black.
ALL_BLOCKS = """
const c = document.getElementById('picture'), w = c.width, h = c.height;
const p = c.getContext('2d').getImageData(0, 0, w, h).data, at = (x, y) => p[4 * (Math.round(y) * w + Math.round(x))];
const isIn = (v) => v > 30 && v < 130;
let top = null, bottom = null, left = null, right = null;
for (let y = 0; y < h; y++) { let n = 0; for (let x = 0; x < w; x += 3) n += isIn(at(x, y)); if (n > w / 12) { top ??= y; bottom = y; } }
for (let x = 0; x < w; x++) {
    let n = 0;
    for (let y = top; y < bottom; y += 5) n += isIn(at(x, y));
    // The frame of the image area is a line; the picture has columns of it.
    if (n > (bottom - top) / 5 * .3 && x > 2 && isIn(at(x + 8, (top + bottom) / 2 + 9))) { left ??= x; right = x; }
}
if (top === null || left === null) return null;
let number = 0;
for (let bit = 0; bit < 6; bit++) {
    const v = at(left + (right - left) * (10 + bit * 50 + 20) / 320, top + (bottom - top) * 60 / 240);
    if (v > 180) number += 1 << bit; else if (v > 70) return null;
}
const xs = [0, 1, 2, 3, 4, 5].map((bit) => (left + (right - left) * (30 + bit * 50) / 320) / w);
return {frame: Number(c.dataset.frame), named: sonotap.drawn.frame, number, xs, y: (top + (bottom - top) / 4) / h};
"""


def check_attacks():
    """Whoever is not paired, or not from our own page, or sends too much, too slowly or nonsense, is refused; the rest goes on."""
    device = Device()
    pin, card = device.pair()
    stranger = Client(device)
    own = f"{device.host}:{device.port}"
    for path in ("/frames", "/picture", "/../etc/passwd", "//"):
        assert stranger.ask("GET", path)[0] in (403, 404), path
    seen = {"picture": 1, "sent_ms": 0}
    assert stranger.ask("POST", "/seen", seen)[0] == 403
    for kwargs in ({"host": "evil.example"}, {"host": f"evil.example:{device.port}"}, {"origin": "http://evil.example"},
                   {"origin": None}, {"origin": "null"}, {"headers": {"Sec-Fetch-Site": "cross-site"}}):
        assert stranger.ask("POST", "/pair", {"pin": pin}, **kwargs)[0] == 403, kwargs
    assert stranger.ask("GET", "/", host="evil.example")[0] == 403
    wrong = "000000" if pin != "000000" else "000001"
    for left in (4, 3, 2, 1, 0):
        status, text = stranger.ask("POST", "/pair", {"pin": wrong})
        assert status == 403 and (f"{left} tries" in text if left else "closed" in text), text
    try:
        assert stranger.ask("POST", "/pair", {"pin": pin})[0] == 403, "the sixth try was allowed"
    except ConnectionError:
        pass  # Nobody is paired and pairing is closed: nothing is listened to, and what had just come in is hung up on.
    pin, card = device.pair()
    tablet = Client(device)
    token = token_of(card)
    claim = {"token": token} if token else {"pin": pin}
    assert tablet.ask("POST", "/pair", claim)[0] == 204
    for again in (claim, {"pin": pin}):
        assert stranger.ask("POST", "/pair", again)[0] == 403, "a token was replayed"
    assert stranger.ask("POST", "/seen", seen)[0] == 403 and tablet.ask("POST", "/seen", seen)[0] == 204
    for body, status in ((b"x" * 8193, 413), (b"[" * 8000, 400), (b"\xff", 400), (json.dumps({"a": 1}).encode(), 400)):
        assert tablet.ask("POST", "/contact", body)[0] == status, body[:9]
    many = {"sent_ms": 0, "contacts": [{"frame": 1, "picture": 1, "finger": 0, "phase": "up", "x": 1, "y": 1, "time_ms": 0, "size_mm": None}] * 65}
    assert tablet.ask("POST", "/contact", many)[0] in (400, 413)
    stream = tablet.stream()
    stream.recv(100)
    stale = {"sent_ms": 0, "contacts": [{"frame": 1, "picture": 999999, "finger": 0, "phase": "down", "x": 1, "y": 1, "time_ms": 0, "size_mm": None}]}
    assert tablet.ask("POST", "/contact", stale)[0] == 409, "a contact named a picture that was never sent"
    # A body that is announced and does not come, and a head that comes a byte at a time: closed after five seconds.
    slow = [socket.create_connection((device.host, device.port)) for _ in range(6)]
    began = time.time()
    slow[0].sendall(f"POST /pair HTTP/1.1\r\nHost: {own}\r\nContent-Length: 100\r\n\r\n".encode())
    closed = 0
    while time.time() - began < 9 and closed < len(slow):
        closed = 0
        for s in slow:
            s.settimeout(0.05)
            try:
                if s is not slow[0]:
                    s.sendall(b"G")
                closed += s.recv(10) == b""
            except TimeoutError:
                pass
            except OSError:
                closed += 1
        time.sleep(0.2)
    assert closed == len(slow), f"{closed} of {len(slow)} slow connections closed"
    crowd = []
    for _ in range(60):
        s = socket.create_connection((device.host, device.port))
        s.settimeout(0.2)
        crowd.append(s)
    time.sleep(0.3)
    threads = device.threads()
    assert threads < 12 + 32, f"{threads} threads"
    [s.close() for s in crowd]
    time.sleep(0.3)
    before = device.rss_kb()
    for n in range(GARBAGE):
        with socket.create_connection((device.host, device.port)) as s:
            s.settimeout(0.02)
            try:
                s.sendall((os.urandom(200), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3, b"\r\n" * 300,
                           b"POST /contact HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")[n % 4])
                if n % 8 < 4:
                    s.recv(2000)
            except OSError:
                pass
    grown = device.rss_kb() - before
    # Nobody has said that pictures were drawn: four are under way at most, and the process lives on them.
    assert grown < 8192, f"{grown} kB more after {GARBAGE} requests"
    assert tablet.ask("GET", "/")[0] == 200 and stranger.ask("POST", "/pair", {"pin": pin})[0] == 403
    stream.settimeout(2)
    assert len(stream.recv(100)) > 0, "the picture stream has died"
    report = device.stop()
    assert report["remote"]["refused"] > GARBAGE // 2
    print(f"attacks: {GARBAGE} garbage requests, {grown} kB grown, {threads} threads at most, token by {'QR code' if token else 'PIN'}; {report['remote']}")


def token_of(card):
    """The token of the QR code, as a camera reads it; None without zbarimg."""
    lines = [line for line in card.splitlines()[1:] if line]
    width = max(map(len, lines))
    rows = []
    for line in lines:
        line = line.ljust(width, " ")
        rows.append([c in "\u2588\u2580" for c in line])
        rows.append([c in "\u2588\u2584" for c in line])
    scale = 6
    png = encode_png([[255 if light else 0 for light in row for _ in range(scale)] for row in rows for _ in range(scale)])
    with open(f"{OUT}/card.png", "wb") as f:
        f.write(png)
    try:
        read = subprocess.run(["zbarimg", "-q", "--raw", f"{OUT}/card.png"], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    assert "#" in read.stdout, f"the QR code is not readable: {read}"
    return read.stdout.strip().split("#")[1]


LINKS = {
    "good Wi-Fi": {"delay_ms": 3, "bits_per_s": 50e6},
    "busy Wi-Fi": {"delay_ms": 15, "bits_per_s": 10e6, "loss": 0.001},
    "edge of Wi-Fi": {"delay_ms": 40, "bits_per_s": 4e6, "loss": 0.003},
    "200 ms, 2 Mbit/s, 5 % lost": {"delay_ms": 100, "bits_per_s": 2e6, "loss": 0.05},
}


# So long is waited for a marker, an outline or a word about a tap, s.
TAP_S = 6


def run_over(name, link, seconds, driver="chromedriver"):
    """Looks at a phantom over a link, with taps; gives the figures."""
    device = Device(profile='names = ["127.0.0.2"]\nage-ms-max = 250\n')
    near = Link(("127.0.0.2", device.port), ("127.0.0.1", device.port), **link) if link is not None else None
    host = "127.0.0.2" if near else None
    browser = Browser(driver)
    try:
        pair_and_draw(browser, device, host)
        browser.js(WATCH)
        time.sleep(4)
        browser.js("sonotap.figures.ages.length = 0; sonotap.figures.bytes = 0")
        began, cpu, drawn = time.time(), device.cpu_s("remote-encode"), browser.js("return sonotap.figures.drawn")
        halves, taps, said, silent = [], [], [], []
        for half in (0, 1):
            while time.time() - began < seconds * (half + 1) / 2:
                if browser.js("return document.body.dataset.link") in ("good", "late"):
                    place = browser.js(DARKEST)
                    browser.js("seen.down = null; seen.refusal = ''")
                    browser.tap(place["x"], place["y"])
                    end = time.time() + TAP_S
                    while time.time() < end and not browser.js("return seen.outlined || seen.refusal"):
                        time.sleep(0.02)
                    t = browser.js("return [seen.down, seen.marked, seen.outlined]")
                    refusal = browser.js("return seen.refusal")
                    if None not in t:
                        taps.append((t[1] - t[0], t[2] - t[0]))
                    elif refusal:
                        said.append(refusal)
                    elif t[1] is None:
                        silent.append(browser.js(STATE))
                    # Where the outline is lost meanwhile there is nothing to clear.
                    browser.js("document.querySelector('[data-press=clear]').click()")
                time.sleep(0.5)
            halves.append(browser.js("return sonotap.figures.ages.splice(0)"))
        took = time.time() - began
        lost = browser.js("return seen.lost.length")
        figures = {
            "link": name,
            "frame to drawn, ms": percentiles(sum(halves, [])),
            "of the second half": percentiles(halves[1]),
            "tap to marker, ms": percentiles([t[0] for t in taps]),
            "tap to outline, ms": percentiles([t[1] for t in taps]),
            "drawn a second": round((browser.js("return sonotap.figures.drawn") - drawn) / took, 1),
            "kB a second": round(browser.js("return sonotap.figures.bytes") / took / 1e3, 1),
            "encoding, % of a core": round(100 * (device.cpu_s("remote-encode") - cpu) / took, 1),
            "NO LINK, times": lost,
            "taps not taken": {words: said.count(words) for words in set(said)},
            "taps lost without a word": silent,
        }
        safe = re.sub(r"\W+", "-", name)
        browser.screenshot(f"{OUT}/link-{safe}.png")
    finally:
        browser.close()
        if near:
            near.close()
    report = device.stop()
    figures["encode, ms"] = round(report["remote"]["encode_ms_mean"], 2)
    figures["bytes of a picture"] = round(report["remote"]["bytes_mean"])
    figures["late under LIVE"] = report["deadline"]["late_under_live"]
    print(json.dumps(figures))
    return figures, halves


def check_links():
    """A slow, lossy link drops pictures and quality; its lag does not grow."""
    name = "200 ms, 2 Mbit/s, 5 % lost"
    figures, (early, late) = run_over(name, LINKS[name], 24)
    median = lambda values: sorted(values)[len(values) // 2]
    assert len(late) > 10, "hardly a picture was drawn"
    assert not figures["taps lost without a word"], figures["taps lost without a word"]
    # At most four pictures of 250 KB/s are under way, and the round trip is 200 ms.
    assert median(late) < 1000, f"the picture is {median(late):.0f} ms old"
    assert median(late) < median(early) + 200, f"the lag grows: {median(early):.0f} to {median(late):.0f} ms"
    best, _ = run_over("loopback", None, 8)
    assert figures["bytes of a picture"] < best["bytes of a picture"], "the quality was not lowered"
    assert figures["drawn a second"] < best["drawn a second"]


def measure():
    """Figures over loopback and links, ours and MJPEG with the same device and browser, to OUT/figures.json."""
    profiles = {"loopback": None, **LINKS}
    all_figures = {name: {"with taps": run_over(name, link, 30)[0], "beside MJPEG": beside_mjpeg(name, link)} for name, link in profiles.items()}
    with open(f"{OUT}/figures.json", "w") as f:
        json.dump(all_figures, f, indent=1)


def measure_mjpeg():
    """Ours and MJPEG over loopback; to OUT/mjpeg.json."""
    figures = beside_mjpeg("loopback", None)
    with open(f"{OUT}/mjpeg.json", "w") as f:
        json.dump(figures, f, indent=1)


def beside_mjpeg(name, link, seconds=20):
    """Ours and MJPEG one after the other, over links of the same kind; gives the figures of both."""
    import mjpeg
    with tempfile.TemporaryDirectory() as folder:
        write_numbers(folder)
        # Frames come however late they are, as MJPEG's do.
        device = Device("--fps", "15", "--deadline-ms", "5000", source=f"images:{folder}", profile='names = ["127.0.0.2"]\n')
        near = lambda port: Link(("127.0.0.2", port), ("127.0.0.1", port), **link) if link is not None else None
        links, browser, figures = [near(device.port)], Browser("chromedriver"), []
        host = "127.0.0.2" if link is not None else "127.0.0.1"
        try:
            pair_and_draw(browser, device, host)
            pin, _ = device.pair()
            tablet = Client(device)
            assert tablet.ask("POST", "/pair", {"pin": pin})[0] == 204
            recorder, place, before = mjpeg.Recorder(device, tablet), None, 0
            # The blocks move when the screen is composed anew for the page.
            fits = "Math.abs(document.getElementById('picture').width - document.getElementById('box').clientWidth * devicePixelRatio) < 2"
            browser.wait(fits, 40)
            while place is None or place["xs"] != before:
                before = place and place["xs"]
                time.sleep(1)
                place = browser.js(ALL_BLOCKS)
            xs, y = place["xs"], place["y"]
            server = mjpeg.Mjpeg(recorder)
            links.append(near(server.port))
            runs = []
            for what, page in (("ours", device.url(host)), ("MJPEG", f"http://{host}:{server.port}/")):
                if what == "MJPEG":
                    browser.open(page)
                way, is_mjpeg = links[-1 if what == "MJPEG" else 0], what == "MJPEG"
                carried = (lambda: way.bytes["down"]) if way else (lambda: server.bytes) if is_mjpeg else (lambda: browser.js("return sonotap.figures.bytes"))
                bytes_before, cpu = carried(), device.cpu_s("remote-encode")
                shown, took = mjpeg.watch(browser, xs, y, is_mjpeg, seconds)
                runs.append((what, shown, took, carried() - bytes_before, device.cpu_s("remote-encode") - cpu))
                browser.screenshot(f"{OUT}/beside-{what}-{re.sub(r'[^a-zA-Z0-9]+', '-', name)}.png")
            recorder.is_over = True
            captures = recorder.captures(xs, y)
        finally:
            browser.close()
            for way in filter(None, links):
                way.close()
        device.stop()
    for what, shown, took, carried, cpu in runs:
        found = mjpeg.ages(shown, captures, settled_ms=3000)
        assert found or what == "MJPEG", f"{what}: no picture was shown over {name}: {len(shown)} numbers read"
        figures.append({
            "link": name, "stream": what, "captured to shown, ms": percentiles(found), "shown a second": round(len(found) / seconds, 1),
            "kB a second": round(carried / took / 1e3, 1), "encoding, % of a core": round(100 * cpu / took, 1),
        })
        print(json.dumps(figures[-1]), flush=True)
    return figures


def main():
    os.makedirs(OUT, exist_ok=True)
    for what in sys.argv[3:]:
        began = time.time()
        if what in ("chromedriver", "WebKitWebDriver", "firefox"):
            check_browser(what)
            check_frame_numbers(what)
        else:
            {"attacks": check_attacks, "tls": check_tls, "beside": check_beside, "links": check_links, "figures": measure, "mjpeg": measure_mjpeg}[what]()
        print(f"{what}: held, {time.time() - began:.0f} s", flush=True)


main()
