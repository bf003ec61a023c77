// The screen of the device in a browser. It shows the pictures that come, and sends contacts that name the picture they touch.
// States of the link: "none" (not paired or nothing yet), "good", "late" (older than it may be), "lost" (NO LINK, taps are dead).
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const [canvas, box, body] = [$("picture"), $("box"), document.body];
  const pen = canvas.getContext("2d", { alpha: false });
  // Without a word for so long that the shown picture is the newest, there is no link.
  const LOST_MS = 250;
  const CONTROLS = 1, IS_ASKED = 2, ASKS = 4;
  const now = () => performance.now();

  // ---- What is known ----
  let drawn = null;          // the picture on the glass
  let drawing = false, next = null;
  let confirmed = -Infinity; // when the picture on the glass was last known to be the newest
  let flags = 0, words = {};
  let clock = [];            // requests that tell the device's clock: {at, sent, rtt, us}
  // Figures for tests and support; bounded.
  const figures = { drawn: 0, beats: 0, ages: [], errors: 0, bytes: 0 };
  window.sonotap = { figures, get drawn() { return drawn; }, get flags() { return flags; }, get words() { return words; } };

  const post = (path, what) => fetch(path, {
    method: "POST", body: JSON.stringify(what), headers: { "Content-Type": "application/json" }, cache: "no-store",
  });

  // ---- Ages ----
  // The device's time now, at the latest: counted from the sending of the fastest late request.
  function deviceNowMs() {
    const best = clock.reduce((a, b) => (!a || b.rtt < a.rtt ? b : a), null);
    return best ? best.us / 1000 + (now() - best.sent) : null;
  }
  function learnClock(sent, response) {
    const us = Number(response.headers.get("Sonotap-Time-Us"));
    if (!us) return;
    const at = now();
    clock = clock.filter((c) => at - c.at < 30000).slice(-200);
    clock.push({ at, sent, rtt: at - sent, us });
  }

  // ---- Pictures ----
  const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u64 = (v, at) => v.getUint32(at) * 2 ** 32 + v.getUint32(at + 4);

  function take(bytes) {
    const v = view(bytes);
    flags = v.getUint8(1);
    showRole();
    if (v.getUint8(0) === 2) {
      figures.beats++;
      if (drawn && u64(v, 2) === drawn.picture) confirmed = now();
      return;
    }
    const length = v.getUint16(34);
    const picture = {
      picture: u64(v, 2), frame: u64(v, 10), captured_us: u64(v, 26) - u64(v, 18), age_sent_ms: u64(v, 18) / 1000,
      words: JSON.parse(new TextDecoder().decode(bytes.subarray(36, 36 + length))),
      jpeg: bytes.slice(36 + length), came: now(),
    };
    figures.bytes += bytes.length + 4;
    if (drawing) next = picture; else draw(picture);
  }

  async function draw(picture) {
    drawing = true;
    try {
      const image = await createImageBitmap(new Blob([picture.jpeg], { type: "image/jpeg" }));
      if (canvas.width !== image.width || canvas.height !== image.height) {
        canvas.width = image.width;
        canvas.height = image.height;
        fit();
      }
      pen.drawImage(image, 0, 0);
      image.close();
      drawn = { picture: picture.picture, frame: picture.frame };
      canvas.dataset.frame = picture.frame;
      canvas.dataset.picture = picture.picture;
      confirmed = picture.came;
      words = picture.words;
      showWords();
      // Drawn now; at the glass with the next turn of the screen. Only then it is said.
      requestAnimationFrame(() => requestAnimationFrame(() => lit(picture)));
    } catch (e) {
      figures.errors++;
    }
    drawing = false;
    if (next) { const p = next; next = null; draw(p); }
  }

  function lit(picture) {
    figures.drawn++;
    const device = deviceNowMs();
    const age = device === null ? picture.age_sent_ms + (now() - picture.came) : device - picture.captured_us / 1000;
    drawn_age_ms = age;
    figures.ages.push(age);
    if (figures.ages.length > 2000) figures.ages.shift();
    tell(picture.picture);
  }
  let drawn_age_ms = 0;

  // At most two of these are on their way; the last one counts.
  let telling = 0, toTell = 0;
  async function tell(picture) {
    toTell = picture;
    while (telling < 2 && toTell) {
      telling++;
      const said = toTell, sent = now();
      toTell = 0;
      try { learnClock(sent, await post("seen", { picture: said, sent_ms: sent })); } catch (e) { /* the stream will end, too */ }
      telling--;
    }
  }

  // ---- The stream ----
  // A page that nobody sees draws nothing: it lets the device know by ending its stream.
  let abort = new AbortController();
  document.addEventListener("visibilitychange", () => { if (document.hidden) abort.abort(); });
  // Where the page came by TLS the tablet's glass stays on; a browser lets go of it when the page is hidden.
  let awake = null;
  async function stayAwake() {
    if (awake && !awake.released || !navigator.wakeLock) return;
    try { awake = await navigator.wakeLock.request("screen"); } catch (e) { /* it may dim */ }
  }
  async function stream() {
    while (document.hidden) await new Promise((r) => document.addEventListener("visibilitychange", r, { once: true }));
    abort = new AbortController();
    const response = await fetch("frames", { cache: "no-store", signal: abort.signal });
    if (response.status === 403) return "pair";
    if (!response.ok) return "again";
    $("pair").hidden = true;
    $("stage").hidden = false;
    stayAwake();
    wanted = "";
    fit();
    const reader = response.body.getReader();
    let kept = new Uint8Array(1 << 20), have = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "again";
      if (have + value.length > kept.length) {
        const grown = new Uint8Array(2 * (have + value.length));
        grown.set(kept.subarray(0, have));
        kept = grown;
      }
      kept.set(value, have);
      have += value.length;
      let at = 0;
      while (have - at >= 4) {
        const length = view(kept).getUint32(at);
        if (have - at < 4 + length) break;
        take(kept.slice(at + 4, at + 4 + length));
        at += 4 + length;
      }
      kept.copyWithin(0, at, have);
      have -= at;
    }
  }

  async function run() {
    for (;;) {
      let outcome = "again";
      try { outcome = await stream(); } catch (e) { /* no network: once more */ }
      if (outcome === "pair") return askPin();
      await new Promise((r) => setTimeout(r, 500));
    }
  }

  // ---- Pairing ----
  async function pair(claim) {
    const response = await post("pair", claim);
    if (response.ok) return run();
    $("refused").textContent = await response.text();
    $("pin").value = "";
    askPin();
  }
  function askPin() {
    $("stage").hidden = true;
    $("pair").hidden = false;
    $("pin").focus();
  }
  $("pair").addEventListener("submit", (e) => { e.preventDefault(); pair({ pin: $("pin").value }); });

  // ---- State of the link ----
  function watch() {
    const silent = now() - confirmed;
    let link = "none";
    if (drawn) {
      const isLive = words.mode === "live" && (words.signal === "good" || words.signal === "delayed");
      link = silent > LOST_MS ? "lost" : isLive && drawn_age_ms > words.age_ms_max ? "late" : "good";
    }
    if (body.dataset.link !== link) {
      body.dataset.link = link;
      if (link === "lost") cancelTouches();
      enable();
    }
    $("sign").textContent = link === "lost" ? "NO LINK" : link === "late" ? `LATE ${Math.round(drawn_age_ms)} ms` : "";
    if (link === "lost") $("age").textContent = "";
    else if (drawn) $("age").textContent = words.mode === "live" ? `${Math.round(Math.max(0, drawn_age_ms))} ms` : words.mode;
  }
  setInterval(watch, 20);

  const mayTouch = () => body.dataset.link !== "lost" && body.dataset.link !== "none" && (flags & CONTROLS) !== 0;

  // ---- Words and controls ----
  let shownWords = "", shownFlags = -1;
  function showWords() {
    const text = JSON.stringify(words);
    if (text === shownWords) return;
    shownWords = text;
    body.dataset.mode = words.mode;
    const press = (name) => document.querySelector(`[data-press=${name}]`);
    for (const button of document.querySelectorAll("[data-usual]")) {
      [button.textContent, button.dataset.now] = [button.dataset.usual, ""];
      button.setAttribute("aria-label", button.dataset.usualName);
      button.style.visibility = "";
      if (button.hasAttribute("aria-pressed")) button.setAttribute("aria-pressed", false);
    }
    press("include").setAttribute("aria-pressed", words.tool === "include");
    press("exclude").setAttribute("aria-pressed", words.tool === "exclude");
    press("freeze").setAttribute("aria-pressed", words.mode !== "live");
    press("freeze").textContent = words.mode === "live" ? "Freeze" : "Go live";
    press("fill").textContent = `Fill ${words.fill} %`;
    // On still frames controls of measuring stand in the places of others. Pressed is what was seen there.
    for (const place of words.places) {
      const button = press(place.button);
      [button.textContent, button.dataset.now] = [place.label, place.press];
      button.setAttribute("aria-label", place.label);
      button.style.visibility = place.press ? "" : "hidden";
      if (button.hasAttribute("aria-pressed")) button.setAttribute("aria-pressed", place.is_on);
    }
    press("save").hidden = press("exam").hidden = !words.has_exam;
    if (words.cine && document.activeElement !== $("scrub")) $("scrub").value = words.cine[1] > 1 ? words.cine[0] / (words.cine[1] - 1) : 1;
    const objects = words.objects.map((o) => `object ${o.number} ${o.outline}` + (o.score === undefined ? "" : `, score ${o.score.toFixed(1)}`));
    say([words.mode, words.signal === "good" ? "" : words.signal, ...objects, ...words.lines].filter(Boolean).join("; "));
    enable();
  }
  let said = "", saidAt = 0;
  function say(text) {
    if (text === said || now() - saidAt < 1000) return;
    [said, saidAt] = [text, now()];
    $("spoken").textContent = text;
  }
  function showRole() {
    if (flags === shownFlags) return;
    shownFlags = flags;
    const mine = (flags & CONTROLS) !== 0;
    $("role").textContent = mine ? (flags & IS_ASKED ? "Another tablet asks for the control" : "") : flags & ASKS ? "Asked for the control" : "Looking on";
    $("ask").hidden = mine;
    $("give").hidden = $("keep").hidden = (flags & IS_ASKED) === 0;
    if (mine) { wanted = ""; fit(); } else cancelTouches();
    enable();
  }
  function enable() {
    const can = { undo: words.can_undo, redo: words.can_redo, clear: words.can_clear, back: words.mode !== "live", forward: words.mode !== "live" };
    for (const button of document.querySelectorAll("[data-press]")) {
      button.disabled = !mayTouch() || (!button.dataset.now && can[button.dataset.press] === false);
    }
    $("scrub").disabled = !mayTouch();
  }
  const press = (name, event, at) => {
    if (!mayTouch()) return;
    hear(post("press", { press: name, at: at ?? null, sent_ms: now(), time_ms: event.timeStamp }), "Not pressed");
  };
  // What was asked for and is not done is said. Nothing of it is done later.
  const REFUSAL_MS = 2000, WHY = { 403: "another tablet controls", 409: "too late, once more", 429: "too much at once" };
  let refusalTimer = 0;
  function sayNotTaken(what, why) {
    $("refusal").textContent = `${what}: ${why}`;
    clearTimeout(refusalTimer);
    refusalTimer = setTimeout(() => { $("refusal").textContent = ""; }, REFUSAL_MS);
  }
  async function hear(answer, what) {
    try {
      const { ok, status } = await answer;
      if (!ok) sayNotTaken(what, WHY[status] ?? "not understood");
    } catch (e) { sayNotTaken(what, "no link"); }
  }
  for (const button of document.querySelectorAll("[data-press]")) {
    if (button.dataset.press !== "save") button.addEventListener("click", (e) => press(button.dataset.now || button.dataset.press, e));
  }
  for (const name of ["include", "exclude", "new", "fill", "clear", "redo"]) {
    const button = document.querySelector(`[data-press=${name}]`);
    button.dataset.usual = button.textContent;
    button.dataset.usualName = button.getAttribute("aria-label") ?? button.textContent;
  }
  // Save pressed is a still, held the cine. A finger that slides off, or a link that is lost meanwhile, saves nothing.
  const HOLD_MS = 600;
  const save = document.querySelector("[data-press=save]");
  let holding = 0, wasHeld = false;
  save.addEventListener("pointerdown", (e) => {
    wasHeld = false;
    clearTimeout(holding);
    holding = setTimeout(() => { wasHeld = true; press("save-cine", { timeStamp: now() }); }, HOLD_MS);
  });
  for (const type of ["pointerup", "pointerleave", "pointercancel"]) save.addEventListener(type, () => clearTimeout(holding));
  save.addEventListener("click", (e) => { clearTimeout(holding); if (!wasHeld) press("save", e); wasHeld = false; });
  save.addEventListener("contextmenu", (e) => e.preventDefault());
  $("scrub").addEventListener("input", (e) => press("scrub", e, Number($("scrub").value)));
  $("scrub").addEventListener("change", () => $("scrub").blur());
  for (const what of ["ask", "give", "keep"]) $(what).addEventListener("click", () => post("control", what).catch(() => {}));
  $("whole").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen?.().catch(() => {});
  });
  if (!document.documentElement.requestFullscreen) $("whole").hidden = true;

  // ---- Size and density ----
  // CSS does not know how large a pixel is. A handheld screen has about 160 to the inch, others 96, unless somebody says.
  const INCHES = [0, 4.7, 5.4, 6.1, 6.7, 7.9, 8.3, 9.7, 10.2, 10.9, 11, 12.4, 12.9, 13];
  for (const inches of INCHES) {
    const option = document.createElement("option");
    [option.value, option.textContent] = [inches, inches ? `${inches}"` : "size?"];
    $("inches").append(option);
  }
  try { $("inches").value = localStorage.getItem("inches") ?? "0"; } catch (e) { /* private mode */ }
  $("inches").addEventListener("change", () => {
    try { localStorage.setItem("inches", $("inches").value); } catch (e) { /* private mode */ }
    wanted = "";
    fit();
  });
  function cssPerInch() {
    const inches = Number($("inches").value);
    if (inches) return Math.hypot(screen.width, screen.height) / inches;
    return matchMedia("(pointer: coarse)").matches ? 160 : 96;
  }
  let wanted = "", wantTimer = 0;
  function fit() {
    const perInch = cssPerInch();
    document.documentElement.style.setProperty("--mm", `${perInch / 25.4}px`);
    const { width, height } = box.getBoundingClientRect();
    if (!width || !height) return;
    const k = Math.min(width / canvas.width, height / canvas.height);
    canvas.style.width = `${canvas.width * k}px`;
    canvas.style.height = `${canvas.height * k}px`;
    canvas.style.left = `${(width - canvas.width * k) / 2}px`;
    canvas.style.top = `${(height - canvas.height * k) / 2}px`;
    const dots = window.devicePixelRatio || 1;
    const size = { width: Math.round(width * dots), height: Math.round(height * dots), dpi: perInch * dots };
    const text = JSON.stringify(size);
    if (text === wanted || (flags & CONTROLS) === 0) return;
    wanted = text;
    clearTimeout(wantTimer);
    wantTimer = setTimeout(() => post("screen", size).catch(() => { wanted = ""; }), 200);
  }
  new ResizeObserver(fit).observe(box);

  // ---- Contacts ----
  // A touch-down is held back until it is known what comes of it: so a tap goes to the device as a whole, and no hesitation of the link
  // makes a long press of it, or half a tap.
  const HELD_BACK_MS = 300, HELD_BACK_MM = 1;
  const NOT_TAPPED = "Tap not taken";
  const fingers = new Map(); // pointerId -> {finger, picture, frame, down: what is held back, timer}
  let waiting = [], sending = false;
  function place(e) {
    const r = canvas.getBoundingClientRect();
    return { x: (e.clientX - r.left) * canvas.width / r.width, y: (e.clientY - r.top) * canvas.height / r.height };
  }
  function contactOf(e, phase, touch) {
    const mm = e.pointerType === "touch" && Math.max(e.width, e.height) > 1 ? Math.max(e.width, e.height) / cssPerInch() * 25.4 : null;
    return { frame: touch.frame, picture: touch.picture, finger: touch.finger, phase, ...place(e), time_ms: e.timeStamp, size_mm: mm };
  }
  function letGo(touch) {
    clearTimeout(touch.timer);
    if (touch.down) waiting.push(touch.down);
    touch.down = null;
  }
  function follow(e, phase, touch) {
    const event = contactOf(e, phase, touch), down = touch.down;
    if (phase === "cancel" && down) return clearTimeout(touch.timer);
    if (down) {
      const apart = Math.hypot(e.clientX - touch.at.x, e.clientY - touch.at.y) / cssPerInch() * 25.4;
      if (phase === "move" && apart < HELD_BACK_MM) {
        // A palm shows as a large patch, when it has come down.
        if (event.size_mm > down.size_mm) down.size_mm = event.size_mm;
        return;
      }
      letGo(touch);
    }
    const last = waiting[waiting.length - 1];
    if (phase === "move" && last && last.phase === "move" && last.finger === touch.finger) waiting[waiting.length - 1] = event;
    else waiting.push(event);
    flush();
  }
  async function flush() {
    if (sending || !waiting.length) return;
    sending = true;
    const contacts = waiting.splice(0, 48);
    const answer = post("contact", { sent_ms: now(), contacts });
    // Nothing tapped on a dead link comes later.
    answer.catch(() => { waiting = []; });
    if (contacts.some((c) => c.phase !== "cancel")) await hear(answer, NOT_TAPPED);
    else await answer.catch(() => {});
    sending = false;
    flush();
  }
  function cancelTouches() {
    const isLost = waiting.some((e) => e.phase !== "cancel") || fingers.size > 0;
    waiting = waiting.filter((e) => e.phase === "cancel");
    for (const touch of fingers.values()) {
      clearTimeout(touch.timer);
      if (touch.down) continue;
      waiting.push({ frame: touch.frame, picture: touch.picture, finger: touch.finger, phase: "cancel", x: 0, y: 0, time_ms: now(), size_mm: null });
    }
    fingers.clear();
    if (isLost) sayNotTaken(NOT_TAPPED, whyDead());
    flush();
  }
  const whyDead = () => body.dataset.link === "lost" || body.dataset.link === "none" ? "no link" : WHY[403];
  canvas.addEventListener("pointerdown", (e) => {
    e.preventDefault();
    if (!mayTouch() || !drawn) return sayNotTaken(NOT_TAPPED, whyDead());
    if (fingers.size >= 10) return;
    const taken = new Set([...fingers.values()].map((t) => t.finger));
    const finger = [...Array(10).keys()].find((f) => !taken.has(f));
    const touch = { finger, ...drawn, at: { x: e.clientX, y: e.clientY } };
    touch.down = contactOf(e, "down", touch);
    touch.timer = setTimeout(() => { letGo(touch); flush(); }, HELD_BACK_MS);
    fingers.set(e.pointerId, touch);
    canvas.setPointerCapture(e.pointerId);
    // Two fingers are no tap, in whatever order they go up.
    if (fingers.size > 1) {
      for (const t of fingers.values()) letGo(t);
      flush();
    }
  });
  for (const [type, phase] of [["pointermove", "move"], ["pointerup", "up"], ["pointercancel", "cancel"]]) {
    canvas.addEventListener(type, (e) => {
      const touch = fingers.get(e.pointerId);
      if (!touch) return;
      if (phase !== "move") fingers.delete(e.pointerId);
      follow(e, phase, touch);
    });
  }
  canvas.addEventListener("contextmenu", (e) => e.preventDefault());

  // ---- Begin ----
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, "", location.pathname);
    pair({ token });
  } else {
    run();
  }
})();
