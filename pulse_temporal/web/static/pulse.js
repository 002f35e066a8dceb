// Times, bars that grow, keys, dialogs. Everything else is HTML from the server.
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const kept = {
    get(name) { try { return localStorage.getItem(name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(name, value); } catch { /* lasts for the page */ } },
  };
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const toast = text => { put(one("#toast"), text); setTimeout(() => put(one("#toast"), ""), 3000); };

  // --- time
  let skew = 0, utc = kept.get("pulse-utc") === "1";
  const now = () => Date.now() + skew;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const length = ms => {
    const s = Math.max(0, ms) / 1000;
    if (s < .9995) return Math.round(s * 1000) + " ms";
    if (s < 9.995) return s.toFixed(2) + " s";
    if (s < 59.95) return s.toFixed(1) + " s";
    let left = Math.round(s);
    const from = units.findIndex(([, size]) => left >= size), parts = [];
    for (const [unit, size] of units.slice(from, from + 2)) {
      const count = Math.floor(left / size);
      left -= count * size;
      if (count) parts.push(count + " " + unit);
    }
    return parts.join(" ");
  };
  const rough = ms => {
    const s = Math.abs(ms) / 1000;
    const [count, unit] = s < 60 ? [s, "s"] : s < 3600 ? [s / 60, "min"] : s < 172800 ? [s / 3600, "h"] : [s / 86400, "d"];
    return ms > 0 ? `in ${Math.round(count)} ${unit}` : `${Math.round(count)} ${unit} ago`;
  };
  const coarse = ms => ms < 60e3 ? length(ms).replace(/\.\d+ s$/, " s") : length(ms);
  const zone = () => utc ? { timeZone: "UTC" } : {};
  const full = date => date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium", ...zone() }) + (utc ? " UTC" : "");
  const clock = date => date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false, ...zone() });
  const tick = () => {
    for (const each of all("time[datetime]")) {
      const date = new Date(each.dateTime), as = each.dataset.as, title = full(date);
      put(each, as === "relative" ? rough(date - now()) : as === "clock" ? clock(date) : title);
      if (each.title !== title) each.title = title;
    }
    for (const each of all("[data-since]")) put(each, coarse(now() - Date.parse(each.dataset.since)));
    for (const each of all("[data-until]")) {
      const left = Date.parse(each.dataset.until) - now();
      put(each, left > 0 ? "in " + coarse(left) : "now");
    }
    grow();
  };

  // --- bars that go on
  let scale = [];
  const readScale = () => {
    const text = one("#waterfall")?.dataset.scale ?? "";
    scale = text.split(";").filter(Boolean).map(point => point.split(",").map(Number));
  };
  const x = at => {
    if (!scale.length || at <= scale[0][0]) return 0;
    for (let i = 1; i < scale.length; i++) {
      const [a, from] = scale[i - 1], [b, to] = scale[i];
      if (at <= b) return b > a ? from + (to - from) * (at - a) / (b - a) : to;
    }
    return 100;
  };
  const grow = () => {
    const waterfall = one("#waterfall[data-live]");
    if (!waterfall) return;
    for (const bar of all("rect.open", waterfall)) {
      const width = x(now() / 1000) - x(+bar.dataset.from);
      bar.setAttribute("width", Math.max(.25, width).toFixed(3) + "%");
    }
  };

  // --- the open step follows its row
  let seen = { row: "", sig: "" };
  const follow = () => {
    const detail = one("#detail[data-row]");
    for (const row of all(".row.chosen")) if (row.id !== detail?.dataset.row) row.classList.remove("chosen");
    const row = detail && document.getElementById(detail.dataset.row);
    if (!row) return;
    row.classList.add("chosen");
    const before = seen;
    seen = { row: row.id, sig: row.dataset.sig };
    if (before.row === seen.row && before.sig !== seen.sig) {
      htmx.ajax("GET", detail.dataset.url, { target: "#detail", swap: "outerMorph" });
    }
  };
  const filterRows = () => {
    const wanted = (one("#find-step")?.value ?? "").toLowerCase();
    const only = one("#errors-only")?.getAttribute("aria-pressed") === "true";
    for (const row of all("#waterfall .row")) {
      const name = one(".t", row).textContent.toLowerCase();
      const wrong = row.matches(".failed, .retrying, .blocked") || one(".failed, .timed_out, .lost, .warn", row);
      row.hidden = !name.includes(wanted) || only && !wrong;
    }
  };

  // --- keys
  const rows = () => all("#rows tr, #waterfall .row:not([hidden]), tbody.rows tr");
  const focusable = row => row.matches("tr") ? row : one("a.nm", row);
  const move = by => {
    const found = rows(), at = found.findIndex(row => row.contains(document.activeElement));
    const row = found[Math.max(0, Math.min(found.length - 1, at + by))];
    if (row) { focusable(row).focus(); row.scrollIntoView({ block: "nearest" }); }
  };
  const nextFailure = () => {
    const found = rows().filter(row => row.matches(".failed, .retrying, .blocked") || one(".st .failed, .st .retrying, .st .blocked", row));
    const at = found.findIndex(row => row.contains(document.activeElement)), row = found[(at + 1) % found.length];
    if (row) { focusable(row).focus(); row.scrollIntoView({ block: "nearest" }); if (row.matches(".row")) one("a.nm", row).click(); }
  };
  const places = { o: "/", r: "/runs", f: "/failures", s: "/signals", d: "/definitions", c: "/crons", b: "/bulk" };
  let going = 0, paused = false;
  const keys = {
    "/": () => one("#q")?.focus(),
    j: () => move(1),
    k: () => move(-1),
    e: nextFailure,
    f: () => one("#fold")?.click(),
    t: () => { one(".tenant")?.click(); },
    u: () => { utc = !utc; kept.set("pulse-utc", utc ? "1" : "0"); toast(utc ? "Times in UTC" : "Local times"); tick(); },
    ".": () => { paused = !paused; toast(paused ? "Paused" : "Live"); if (!paused) location.reload(); },
    g: () => { going = Date.now(); },
    x: () => { const box = document.activeElement?.closest("tr") && one(".sel input", document.activeElement.closest("tr")); if (box) box.click(); },
    "?": () => one("#keys").showModal(),
    Enter: () => { if (document.activeElement?.matches("tr")) one(".nm a", document.activeElement)?.click(); },
  };
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, textarea, select")) { if (event.key === "Escape") event.target.blur(); return; }
    if (Date.now() - going < 1200 && event.key in places) { location.href = document.body.dataset.base + places[event.key]; return; }
    if (event.key in keys) { if (event.key !== "Enter") event.preventDefault(); keys[event.key](); }
  });

  // --- clicks
  document.addEventListener("click", event => {
    const opener = event.target.closest("[data-dialog]"), dialog = opener && document.getElementById(opener.dataset.dialog);
    if (dialog) { event.preventDefault(); dialog.close(); dialog.showModal(); }
    const closer = event.target.closest("[data-close]");
    if (closer) { event.preventDefault(); closer.closest("dialog").close(); }
    const copied = event.target.closest(".copy");
    if (copied && navigator.clipboard) navigator.clipboard.writeText(copied.textContent).then(() => toast("Copied"));
    const errors = event.target.closest("#errors-only");
    if (errors) { event.preventDefault(); errors.setAttribute("aria-pressed", errors.getAttribute("aria-pressed") !== "true"); filterRows(); }
    if (event.target.closest("#theme")) {
      const order = ["auto", "light", "dark"], root = document.documentElement;
      root.dataset.theme = order[(order.indexOf(root.dataset.theme) + 1) % 3];
      kept.set("pulse-theme", root.dataset.theme);
      toast("Theme: " + root.dataset.theme);
    }
  });
  document.addEventListener("input", event => { if (event.target.id === "find-step") filterRows(); });

  // --- many runs: which are chosen, and the question about them as a dialog
  const chosen = () => all("#rows .sel input:checked");
  const countChosen = () => {
    const form = one("#bulk-form");
    if (!form) return;
    const number = chosen().length, every = form.elements.all.checked;
    put(one("#selected"), every ? "all selected" : number ? number + " selected" : "none selected");
    for (const button of all("button", form)) button.disabled = !every && !number;
    const page = one("#select-page"), boxes = all("#rows .sel input").length;
    if (page) { page.checked = number > 0 && number === boxes; page.indeterminate = number > 0 && number < boxes; }
  };
  const question = url => htmx.ajax("GET", url + "&part=1", { target: "#bulk-new", swap: "outerHTML" });
  document.addEventListener("change", event => {
    if (event.target.id === "select-page") for (const box of all("#rows .sel input")) box.checked = event.target.checked;
    countChosen();
  });
  document.addEventListener("submit", event => {
    if (event.target.id !== "bulk-form" || !window.htmx) return;
    event.preventDefault();
    question(event.target.action + "?" + new URLSearchParams(new FormData(event.target, event.submitter)));
  });
  document.addEventListener("click", event => {
    const link = event.target.closest("[data-bulk]");
    if (!link || !window.htmx || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    question(link.href);
  });

  // --- changes from the server
  const live = state => {
    const lamp = one("#live");
    if (!lamp) return;
    lamp.className = "live script " + state;
    put(lamp.lastElementChild, { on: "live", off: "reconnecting", "": "not live" }[state]);
  };
  document.addEventListener("skew", event => { skew = +event.detail.data - Date.now(); live("on"); });
  document.addEventListener("htmx:sse:error", () => live("off"));
  document.addEventListener("htmx:sse:close", () => live("off"));
  // Rows that somebody reads must not move: further down, a button tells of new ones instead.
  let held = false;
  document.addEventListener("htmx:sse:before:message", event => {
    held = held || event.detail.message.data.includes('hx-target="#list"') && (scrollY > 120 || chosen().length > 0);
    if (held) one("#news").hidden = false;
    if (held || paused) event.preventDefault();
  });
  const showWork = () => {
    for (const each of all(".scroll:has(.graph)")) {
      const node = one(":is(.failed, .blocked, .retrying, .running):not(.outline)", each), box = each.getBoundingClientRect();
      if (!node) { each.scrollLeft = (each.scrollWidth - each.clientWidth) / 2; continue; }
      const at = node.getBoundingClientRect();
      each.scrollLeft += at.left + at.width / 2 - box.left - box.width / 2;
      if (at.bottom > box.bottom) each.scrollTop += at.top - box.top - box.height / 2;
    }
  };
  document.addEventListener("htmx:after:swap", () => {
    readScale(); filterRows(); follow(); tick(); countChosen();
    const asked = one("dialog[data-show]:not([open])");
    if (asked) { delete asked.dataset.show; asked.showModal(); }
  });
  document.addEventListener("htmx:response:error", () => toast("The server refused this."));
  live("");
  showWork();
  readScale(); filterRows(); follow(); tick(); countChosen(); setInterval(tick, 500);
})();
