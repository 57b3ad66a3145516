// The page: what the appliance says, drawn as it comes in.
//
// In: the HTTP API and its event stream. Out: the document. Two rules keep it light with a thousand devices: events only
// mark what has changed, and once per animation frame the marked parts are drawn; plots are fetched for what is on screen.

import { functions } from "./functions.js";
import {
  $, ago, ask, clock, clockTime, collator, count, drawing, element, everything, for_, glyph, HOUR, lasting, mark, MARKS, now,
  plural, Signed, spoken, write,
} from "./words.js";

const scopes = document.body.dataset.scopes.split(" ");
const mayOperate = scopes.includes("operate") || scopes.includes("admin");
const still = matchMedia("(prefers-reduced-motion: reduce)");

const state = {
  devices: new Map(), // name -> device as the API tells it
  alerts: new Map(), // id -> firing alert
  invocations: [], // newest first, at most SHOWN
  alarms: new Map(), // name -> summary
  allAlerts: false, // whether the less urgent ones are unfolded
  rules: [],
  loaded: false,
  status: null,
  heard: 0, // when the appliance last said anything, this browser's clock
};
const SHOWN = 12;

// ---- drawing, once per frame

const drawers = { alarms: drawAlarms, alerts: drawAlerts, list: drawList, invocations: drawInvocations, link: drawLink, status: drawStatus };
let dirty = new Set();
let dirtyDevices = new Set();
const later = new Set(); // cards out of sight that have changed
const OUT_OF_SIGHT_PER_FRAME = 25;
let framed = false;

/** Have a part of the page, or one device, drawn in the next frame. */
function draw(part, name) {
  if (name === undefined) dirty.add(part);
  else dirtyDevices.add(name);
  if (!framed) {
    framed = true;
    requestAnimationFrame(flush);
  }
}

function flush() {
  framed = false;
  const parts = dirty, devices = dirtyDevices;
  dirty = new Set();
  dirtyDevices = new Set();
  for (const [part, drawer] of Object.entries(drawers)) if (parts.has(part)) drawer();
  for (const name of devices) {
    const card = cards.get(name);
    if (shown.has(card)) card.draw();
    else if (card) later.add(card);
  }
  // What is out of sight has time, but not for ever: it may be searched for, read aloud or printed.
  let left = OUT_OF_SIGHT_PER_FRAME;
  for (const card of later) {
    if (!left--) break;
    card.draw();
  }
  if (later.size && !framed) {
    framed = true;
    requestAnimationFrame(flush);
  }
}

// ---- devices

const cards = new Map();
const NEW_PER_FRAME = 50; // cards made at once: the page stays usable while a thousand appear
const shown = new Set();

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = entry.target.card;
    if (entry.isIntersecting) {
      shown.add(card);
      if (later.has(card)) card.draw();
      else card.tick();
      card.wantTraces();
    } else shown.delete(card);
  }
}, { rootMargin: "200px" });

class Card {
  constructor(name) {
    this.name = name;
    this.rows = new Map();
    this.traces = null; // reading -> Trace, once fetched
    this.glyph = null;
    this.title = element("h3");
    this.seen = element("span", { class: "seen" });
    this.head = element("header", {}, this.title, this.seen);
    this.body = element("div");
    this.root = element("li", { class: "device" }, this.head, this.body);
    this.root.card = this;
  }

  draw() {
    const device = state.devices.get(this.name);
    if (!device) return;
    later.delete(this);
    const title = device.label || device.name;
    if (this.titled !== title) {
      this.titled = title;
      this.title.replaceChildren(title, ...(device.label ? [element("small", {}, device.name)] : []));
      this.title.title = [device.name, device.model, device.firmware].filter(Boolean).join(" · ");
    }
    const tone = worst([...state.alerts.values()].filter((alert) => alert.device === this.name));
    if (this.tone !== tone) {
      this.tone = tone;
      this.glyph?.remove();
      this.glyph = null;
      this.root.classList.remove("firing", "critical", "warning", "info");
      if (tone) {
        this.root.classList.add("firing", tone);
        this.glyph = glyph(tone);
        this.head.prepend(this.glyph);
      }
    }
    this.root.classList.toggle("offline", device.online === false);
    this.drawRows(device);
    this.tick();
  }

  drawRows(device) {
    const names = Object.keys(device.readings ?? {});
    if (names.length !== this.rows.size || names.some((name) => !this.rows.has(name))) {
      for (const name of names) if (!this.rows.has(name)) this.rows.set(name, new Row(this.name, name));
      for (const name of [...this.rows.keys()]) if (!names.includes(name)) this.rows.delete(name);
      names.sort(collator.compare);
      this.body.replaceChildren(...(names.length ? names.map((name) => this.rows.get(name).root) : [element("p", { class: "none" }, "No reading yet")]));
    }
    const alerts = [...state.alerts.values()].filter((alert) => alert.device === this.name);
    for (const [name, row] of this.rows) {
      row.draw(device.readings[name], worst(alerts.filter((alert) => alert.reading === name)), shown.has(this));
      if (this.traces) row.trace(this.traces.get(name));
    }
  }

  tick() {
    const device = state.devices.get(this.name);
    if (device) write(this.seen, device.online === false ? `offline, ${ago(device.last_seen)}` : ago(device.last_seen));
  }

  /** Remember a value for the sparkline. */
  add(t, values) {
    for (const [reading, value] of Object.entries(values)) {
      if (typeof value === "string") continue;
      let trace = this.traces?.get(reading);
      if (this.traces && !trace) this.traces.set(reading, (trace = new Trace()));
      trace?.add(t, Number(value));
    }
  }

  wantTraces() {
    if (this.traces || this.asked) return;
    this.asked = true;
    fetching.push(this);
    fetchNext();
  }

  async fetchTraces() {
    const step = Trace.STEP;
    try {
      const found = await ask(`/api/v1/devices/${this.name}/readings?since=1h&step=${step}`);
      const traces = new Map();
      for (const point of found.items) {
        if (!traces.has(point.reading)) traces.set(point.reading, new Trace());
        traces.get(point.reading).set(point.t, point.mean);
      }
      this.traces = traces;
      const device = state.devices.get(this.name);
      for (const [name, reading] of Object.entries(device?.readings ?? {})) this.add(reading.t, { [name]: reading.value });
      draw("devices", this.name);
    } catch {
      this.asked = false; // the next time it comes into view
    }
  }
}

const fetching = [];
let fetchers = 0;

async function fetchNext() {
  while (fetchers < 3 && fetching.length) {
    const card = fetching.shift();
    if (!shown.has(card)) {
      card.asked = false;
      continue;
    }
    fetchers++;
    card.fetchTraces().finally(() => {
      fetchers--;
      fetchNext();
    });
  }
}

/** An hour of one reading, or what there is of it: bounded, however often the board speaks. When there are too many points
 *  their steps double, so that the first minutes are drawn as finely as the first hour. */
class Trace {
  static STEP = 30_000; // what is fetched
  static MOST = 120;

  constructor() {
    this.step = 1000;
    this.points = new Map(); // start of the step -> [sum, count]
    this.changed = true;
  }

  set(t, mean) {
    this.points.set(t - (t % this.step), [mean, 1]);
  }

  add(t, value) {
    const start = t - (t % this.step);
    const point = this.points.get(start) ?? [0, 0];
    this.points.set(start, [point[0] + value, point[1] + 1]);
    if (this.points.size > Trace.MOST) this.thin();
    this.changed = true;
  }

  thin() {
    for (const t of this.points.keys()) if (t < now() - HOUR) this.points.delete(t);
    while (this.points.size > Trace.MOST) {
      this.step *= 2;
      const fewer = new Map();
      for (const [t, [sum, n]] of this.points) {
        const start = t - (t % this.step);
        const point = fewer.get(start) ?? [0, 0];
        fewer.set(start, [point[0] + sum, point[1] + n]);
      }
      this.points = fewer;
    }
  }

  /** The path in a box of 100 by 28; a gap in the data is a gap in the line. */
  path() {
    const end = now();
    const points = [...this.points].filter(([t]) => t > end - HOUR).sort((a, b) => a[0] - b[0]).map(([t, [sum, n]]) => [t, sum / n]);
    if (!points.length) return "";
    let low = Infinity, high = -Infinity;
    for (const [, value] of points) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const room = Math.max(high - low, Math.abs(high) * 0.05, 1e-9);
    const middle = (low + high) / 2;
    const usual = points.length > 1 ? (points.at(-1)[0] - points[0][0]) / (points.length - 1) : 0;
    const span = Math.max(end - points[0][0], 60_000);
    let path = "", before = null;
    for (const [t, value] of points) {
      const x = 100 - (100 * (end - t)) / span;
      const y = 14 - (24 * (value - middle)) / room;
      const gap = before === null || t - before > Math.max(5 * Trace.STEP, 3 * usual);
      path += `${gap ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
      before = t;
    }
    return points.length === 1 ? `${path}h.01` : path;
  }
}

class Row {
  constructor(device, reading) {
    this.value = element("span", { class: "value" });
    this.line = drawing("path");
    this.spark = drawing("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" }, this.line);
    this.root = element("button", { class: "reading", type: "button", title: `Plot ${reading} of ${device}`, onclick: () => openPlot(device, reading) },
      element("span", { class: "name" }, reading), this.spark, this.value);
    this.device = device;
    this.reading = reading;
  }

  draw({ value, unit }, tone, seen) {
    const text = spoken(value);
    if (this.text !== text || this.unit !== unit) {
      const known = this.text !== undefined;
      this.text = text;
      this.unit = unit;
      this.value.replaceChildren(text, ...(unit ? ["\u202f", element("small", {}, unit)] : []));
      this.value.classList.toggle("word", typeof value === "string");
      if (known && seen && !still.matches) this.value.animate([{ color: "var(--accent)" }, {}], { duration: 900, easing: "ease-out" });
    }
    if (this.tone !== tone) {
      this.tone = tone;
      this.root.classList.remove("critical", "warning", "info");
      if (tone) this.root.classList.add(tone);
      this.root.toggleAttribute("data-tone", Boolean(tone));
    }
  }

  trace(trace) {
    if (trace?.changed) {
      trace.changed = false;
      this.line.setAttribute("d", trace.path());
    }
  }
}

function worst(alerts) {
  return ["critical", "warning", "info"].find((severity) => alerts.some((alert) => alert.severity === severity)) ?? "";
}

function drawList() {
  const wanted = $("filter").value.trim().toLowerCase();
  const all = [...state.devices.values()].sort((a, b) => collator.compare(a.label || a.name, b.label || b.name));
  const matching = wanted ? all.filter((device) => [device.name, device.label, device.model, ...Object.keys(device.readings ?? {})].some((text) => text?.toLowerCase().includes(wanted))) : all;
  for (const name of [...cards.keys()]) {
    if (!state.devices.has(name)) {
      const card = cards.get(name);
      watcher.unobserve(card.root);
      shown.delete(card);
      cards.delete(name);
    }
  }
  const roots = [];
  let fresh = 0;
  for (const device of matching) {
    let card = cards.get(device.name);
    if (!card) {
      if (fresh++ >= NEW_PER_FRAME) {
        draw("list");
        break;
      }
      cards.set(device.name, (card = new Card(device.name)));
      card.draw();
      watcher.observe(card.root);
    }
    roots.push(card.root);
  }
  const list = $("device-list");
  const same = roots.findIndex((root, place) => list.children[place] !== root);
  if (same >= 0 && same === list.children.length) list.append(...roots.slice(same));
  else if (same >= 0 || roots.length !== list.children.length) list.replaceChildren(...roots);
  const offline = all.filter((device) => device.online === false).length;
  write($("devices-count"), all.length ? [
    wanted ? `${count.format(matching.length)} of ${count.format(all.length)}` : count.format(all.length),
    offline ? `${count.format(offline)} offline` : "",
  ].filter(Boolean).join(" · ") : "");
  $("filter-box").hidden = all.length < 7 && !wanted;
  $("devices-empty").hidden = !state.loaded || all.length > 0;
  $("devices-none").hidden = !(all.length && !matching.length);
}

// ---- alerts and alarms

const alertItems = new Map();
const FEW_ALERTS = 4; // the devices below must stay within reach of a thumb

function drawAlerts() {
  const rank = { critical: 0, warning: 1, info: 2 };
  const alerts = [...state.alerts.values()].sort((a, b) =>
    Boolean(a.acked_by) - Boolean(b.acked_by) || rank[a.severity] - rank[b.severity] || b.since - a.since);
  for (const id of [...alertItems.keys()]) if (!state.alerts.has(id)) alertItems.delete(id);
  const few = state.allAlerts || alerts.length <= FEW_ALERTS + 1 ? alerts : alerts.slice(0, FEW_ALERTS);
  $("alerts-more").hidden = few.length === alerts.length;
  write($("alerts-more"), `Show ${count.format(alerts.length - few.length)} more`);
  const items = few.map((alert) => {
    const known = alertItems.get(alert.id);
    if (known && known.alert === alert) return known;
    const made = alertItem(alert, !known && state.loaded);
    alertItems.set(alert.id, made);
    return made;
  });
  const list = $("alerts");
  if (items.length !== list.children.length || items.some((item, place) => list.children[place] !== item)) {
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("li")?.alert.id : null;
    list.replaceChildren(...items);
    if (focused) (alertItems.get(focused)?.querySelector("button") ?? $("alerts-title")).focus?.();
  }
  if (state.loaded) {
    $("alerts-empty").replaceChildren(...(state.rules.length
      ? [drawing("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, drawing("path", { d: MARKS.answered })), element("p", {}, `All quiet. ${plural(state.rules.length, "rule")} watching.`)]
      : [element("p", {}, "No rule is watching yet. Write one, then "), element("code", {}, "edgectl apply -f rule.yaml")]));
  }
  const open = alerts.filter((alert) => !alert.acked_by).length;
  document.title = (open ? `(${open}) ` : "") + document.body.dataset.site;
  $("icon").href = open ? "/static/icon-firing.svg" : "/static/icon.svg";
  tickAlerts();
}

function alertItem(alert, isNew) {
  const since = element("span");
  const doing = element("div", { class: "do" });
  const what = element("div", { class: "what" },
    element("p", { class: "message" }, alert.message || `${alert.rule} on ${alert.device}`),
    element("p", { class: "meta" }, element("b", {}, alert.severity[0].toUpperCase() + alert.severity.slice(1)), ` · ${alert.rule} · ${alert.device} · `, since));
  if (alert.acked_by) what.append(element("p", { class: "meta" }, `Seen by ${alert.acked_by}${alert.acked_at ? ` at ${clockTime(alert.acked_at)}` : ""}`));
  else if (mayOperate) doing.append(element("button", { type: "button", onclick: (event) => acknowledge(alert, event.currentTarget, what), "aria-label": `Acknowledge: ${alert.message}` }, "Acknowledge"));
  const item = element("li", { class: `alert ${alert.severity}${alert.acked_by ? " acked" : ""}${isNew ? " new" : ""}` }, glyph(alert.severity), what, doing);
  item.alert = alert;
  item.since = since;
  return item;
}

async function acknowledge(alert, button, what) {
  button.disabled = true;
  what.querySelector(".failed")?.remove();
  try {
    const seen = await ask(`/api/v1/alerts/${alert.id.split("/").map(encodeURIComponent).join("/")}/ack`, { method: "POST" });
    onAlert({ ...alert, ...seen });
  } catch (problem) {
    button.disabled = false;
    what.append(element("p", { class: "failed", role: "alert" }, `Not acknowledged: ${problem.message}`));
  }
}

function tickAlerts() {
  for (const item of $("alerts").children) write(item.since, for_(item.alert.since));
}

function drawAlarms() {
  const box = $("alarms");
  box.hidden = !state.alarms.size;
  box.replaceChildren(...[...state.alarms].map(([name, summary]) => element("p", { class: "alarm", role: "alert", "data-name": name }, glyph("warning"), element("span", {}, summary || name))));
}

function onAlert(alert) {
  const known = state.alerts.get(alert.id);
  if (alert.state === "firing" && !alert.late) {
    state.alerts.set(alert.id, alert);
    if (!known) $("announcer").textContent = `${alert.severity} alert: ${alert.message}`;
  } else if (known) {
    state.alerts.delete(alert.id);
    $("announcer").textContent = `Over: ${known.message}`;
  }
  draw("alerts");
  draw("devices", alert.device);
}

// ---- functions

function drawInvocations() {
  $("invocations").replaceChildren(...state.invocations.map((one) => {
    const kind = one.state === "answered" || one.state === "dead" ? one.state : "waiting";
    const said = { answered: "answered", dead: "failed", waiting: one.state === "waiting" ? "waits to try again" : "running" }[kind];
    const tries = one.attempts > 1 ? ` after ${one.attempts} attempts` : "";
    const why = kind === "dead" ? [element("b", {}, `Failed${tries}`), `: ${one.reason}`] : [one.reason || one.cause || "", tries && kind === "answered" ? ` (${tries.trim()})` : ""];
    const when = element("span", { class: "when" });
    const item = element("li", { class: `invocation ${kind}` }, mark(kind),
      element("span", { class: "name" }, one.function, element("span", { class: "hidden" }, `, ${said}`)),
      element("span", { class: "why", title: one.id }, ...why),
      element("span", { class: "took" }, one.ended_at ? lasting(one.ended_at - one.created_at) : ""), when);
    item.tick = () => write(when, ago(one.ended_at || one.created_at));
    item.tick();
    return item;
  }));
  $("invocations-empty").hidden = !state.loaded || state.invocations.length > 0;
}

function onInvocation(one) {
  const same = (other) => other.id === one.id && other.function === one.function;
  const before = state.invocations.find(same);
  state.invocations = [{ ...before, ...one }, ...state.invocations.filter((other) => !same(other))].slice(0, SHOWN);
  draw("invocations");
  functions.soon();
}

// ---- the line at the bottom, and whether we are connected at all

function drawStatus() {
  const { broker, journal, readings_stored: stored, rules, functions } = state.status ?? {};
  const counted = (found) => (typeof found === "number" ? found : found?.count ?? Object.keys(found ?? {}).length);
  write($("status"), [
    broker && (broker.connected ? "Broker connected" : "Broker not connected"),
    stored !== undefined && `${plural(stored, "reading")} stored`,
    journal?.pending !== undefined && (journal.pending ? `${count.format(journal.pending)} waiting for the disk` : "nothing waiting for the disk"),
    rules !== undefined && plural(counted(rules), "rule"),
    functions !== undefined && plural(counted(functions), "function"),
  ].filter(Boolean).join(" · "));
}

function drawLink() {
  const live = source.open;
  $("link").dataset.state = live ? "live" : state.loaded ? "away" : "connecting";
  write($("link").querySelector(".text"), live ? "Live" : state.loaded ? "Not connected" : "Connecting");
  $("banner").hidden = live || !source.lost;
  if (!live && source.lost) {
    write($("banner-text"), state.heard ? `Not connected, showing the state of ${clockTime(state.heard)}` : "The appliance does not answer");
  }
}

// ---- live

const SILENCE = 25_000; // the appliance says something every ten seconds at least
const source = {
  stream: null,
  open: false,
  lost: false, // long enough to say so
  wait: 1000,
  timer: 0,

  connect() {
    clearTimeout(this.timer);
    this.stream?.close();
    const stream = (this.stream = new EventSource("/api/v1/events"));
    for (const kind of Object.keys(handlers)) {
      stream.addEventListener(kind, (event) => {
        state.heard = Date.now();
        handlers[kind](JSON.parse(event.data));
      });
    }
    stream.onerror = () => this.retry();
    this.timer = setTimeout(() => this.retry(), SILENCE);
  },

  /** Something came: this stream lives. */
  heard() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.retry(), SILENCE);
  },

  /** The stream broke or is silent: close it, and begin again a little later each time. */
  retry() {
    this.stop();
    this.lost = true;
    draw("link");
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, 15_000);
    load(); // what can be had without the stream; and to the sign-in page if that is what is wrong
  },

  stop() {
    clearTimeout(this.timer);
    this.stream?.close();
    this.stream = null;
    this.open = false;
  },
};

const handlers = {
  hello({ t }) {
    clock.skew = t - Date.now();
    source.open = true;
    source.lost = false;
    source.wait = 1000;
    draw("link");
    load();
  },
  beat({ t }) {
    clock.skew = t - Date.now();
  },
  reading({ device: name, t, values }) {
    let device = state.devices.get(name);
    if (!device) {
      state.devices.set(name, (device = { name, readings: {} }));
      refetch(name);
      draw("list");
    }
    for (const [reading, value] of Object.entries(values)) {
      const known = device.readings[reading];
      if (!known || t >= known.t) device.readings[reading] = { ...known, value, t };
    }
    device.last_seen = Math.max(device.last_seen ?? 0, Math.min(t, now()));
    if (device.online === false) device.online = true;
    cards.get(name)?.add(t, values);
    draw("devices", name);
  },
  device(told) {
    if (told.forgotten) {
      state.devices.delete(told.name);
      draw("list");
      return;
    }
    const before = state.devices.get(told.name);
    state.devices.set(told.name, { ...before, ...told });
    for (const [reading, { t, value }] of Object.entries(told.readings ?? {})) {
      if (t && t !== before?.readings?.[reading]?.t) cards.get(told.name)?.add(t, { [reading]: value });
    }
    if (!before || before.label !== told.label || before.online !== told.online) draw("list");
    draw("devices", told.name);
  },
  alert: onAlert,
  invocation: onInvocation,
  alarm({ name, summary, active }) {
    if (active === false) state.alarms.delete(name);
    else state.alarms.set(name, summary);
    draw("alarms");
  },
  status(told) {
    takeStatus(told);
  },
};
/** Lists that have been asked for and not yet drawn: what the stream says meanwhile is newer, and is said to them again. */
const asking = new Set();
const AGAIN = new Set(["alert", "alarm", "invocation"]);

for (const [kind, handle] of Object.entries(handlers)) {
  handlers[kind] = (data) => {
    source.heard();
    handle(data);
    if (AGAIN.has(kind)) for (const meanwhile of asking) meanwhile.push(() => handle(data));
  };
}

/** Ask for lists, draw them with `use`, and then repeat what the stream said in between. */
async function fresh(questions, use) {
  const meanwhile = [];
  asking.add(meanwhile);
  try {
    use(...await Promise.all(questions));
  } finally {
    asking.delete(meanwhile);
  }
  for (const repeat of meanwhile) repeat();
}

const wanted = new Set();

/** A board we had not heard of: its units and model come with the device. */
function refetch(name) {
  if (wanted.has(name)) return;
  wanted.add(name);
  setTimeout(() => {
    wanted.delete(name);
    ask(`/api/v1/devices/${name}`).then((device) => handlers.device(device)).catch(() => {});
  }, 500);
}

function takeStatus(told) {
  state.status = told;
  state.alarms = new Map((told.alarms ?? []).map(({ name, summary }) => [name, summary]));
  draw("alarms");
  draw("status");
}

/** Everything, at the start and after each reconnection: what was missed in between is in here. */
async function load() {
  functions.load();
  try {
    await fresh([
      everything("/api/v1/devices"), everything("/api/v1/alerts?state=firing", 1),
      ask(`/api/v1/invocations?limit=${SHOWN}`), everything("/api/v1/rules"), ask("/api/v1/status"),
    ], (devices, alerts, invocations, rules, status) => {
      state.devices = new Map(devices.map((device) => [device.name, device]));
      state.alerts = firing(alerts);
      state.invocations = invocations.items;
      state.rules = rules;
      const first = !state.loaded;
      state.loaded = true;
      state.heard = Date.now();
      takeStatus(status);
      for (const part of ["list", "alerts", "invocations", "link"]) draw(part);
      for (const [name, card] of cards) {
        if (!first) {
          card.traces = null;
          card.asked = false;
          if (shown.has(card)) card.wantTraces();
        }
        draw("devices", name);
      }
    });
  } catch (problem) {
    if (!(problem instanceof Signed)) setTimeout(() => source.open && load(), 3000);
  }
}

function firing(alerts) {
  return new Map(alerts.filter((alert) => !alert.late).map((alert) => [alert.id, alert]));
}

/** What the stream may have dropped under a flood, looked up from time to time. */
async function check() {
  if (!source.open || document.hidden) return;
  functions.load();
  try {
    await fresh([
      everything("/api/v1/alerts?state=firing", 1), everything("/api/v1/rules"), ask("/api/v1/status"),
    ], (alerts, rules, status) => {
      const before = state.alerts, after = firing(alerts);
      state.alerts = new Map([...after].map(([id, alert]) => {
        const known = before.get(id);
        return [id, known && known.acked_by === alert.acked_by && known.message === alert.message ? known : alert];
      }));
      for (const alert of [...before.values(), ...after.values()]) if (before.has(alert.id) !== after.has(alert.id)) draw("devices", alert.device);
      state.rules = rules;
      takeStatus(status);
      draw("alerts");
    });
  } catch { /* the stream will say when the appliance is gone */ }
}

// ---- plot

const RANGES = { "1h": [HOUR, 30_000], "24h": [24 * HOUR, 600_000], "7d": [7 * 24 * HOUR, HOUR] };
const plot = { device: "", reading: "", range: "1h", points: [], at: -1, turn: 0 };

function openPlot(device, reading) {
  Object.assign(plot, { device, reading, points: [], at: -1 });
  $("plot").showModal();
  loadPlot();
}

async function loadPlot() {
  const { device, reading, range } = plot;
  const turn = ++plot.turn;
  const [span, step] = RANGES[range];
  const known = state.devices.get(device);
  const { value, unit } = known?.readings?.[reading] ?? {};
  write($("plot-title"), `${known?.label || device} · ${reading}`);
  $("plot-now").replaceChildren(spoken(value), ...(unit ? ["\u202f", element("small", {}, unit)] : []));
  write($("plot-cursor"), "");
  for (const button of $("plot").querySelectorAll("[data-range]")) button.setAttribute("aria-pressed", String(button.dataset.range === range));
  const path = `/api/v1/devices/${device}/readings?reading=${encodeURIComponent(reading)}&since=${range}`;
  $("plot-csv").href = "#";
  $("plot-csv").onclick = (event) => saveCsv(event, path, `${device}-${reading}-${range}.csv`);
  try {
    const found = await ask(`${path}&step=${step}`);
    if (turn !== plot.turn) return;
    plot.points = found.items;
    plot.until = now();
    plot.since = plot.until - span;
    plot.step = step;
    drawPlot(unit);
  } catch (problem) {
    if (turn === plot.turn) $("plot-frame").replaceChildren(element("p", { class: "nothing" }, `No plot: ${problem.message}`));
  }
}

async function saveCsv(event, path, name) {
  event.preventDefault();
  const response = await fetch(path, { headers: { Accept: "text/csv" } });
  if (!response.ok) return;
  const url = URL.createObjectURL(await response.blob());
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Round numbers that divide low..high into about `wanted` parts. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + step / 1e6; n++) found.push(n * step);
  return found;
}

/** Times of day (or days) that divide the range; local time, so that midnight is midnight. */
function times(since, until, wanted) {
  const steps = [5, 10, 15, 30, 60, 180, 360, 720, 1440].map((minutes) => minutes * 60_000);
  const step = steps.find((each) => (until - since) / each <= wanted) ?? steps.at(-1);
  const offset = new Date(since).getTimezoneOffset() * 60_000;
  const found = [];
  for (let t = Math.ceil((since - offset) / step) * step + offset; t <= until; t += step) found.push(t);
  return [found, step];
}

/** Limits of the rules that watch this reading. */
function limits(device, reading) {
  const matches = (glob) => new RegExp(`^${(glob || "*").replace(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")}$`).test(device);
  const found = [];
  for (const rule of state.rules) {
    const spec = rule.manifest?.spec ?? {};
    try {
      if (spec.reading !== reading || !matches(spec.devices)) continue;
    } catch {
      continue;
    }
    for (const word of ["above", "below"]) if (typeof spec[word] === "number") found.push({ value: spec[word], name: `${rule.name}: ${word} ${spoken(spec[word])}` });
  }
  return found;
}

function drawPlot(unit) {
  const frame = $("plot-frame");
  const { points, since, until, step, device, reading } = plot;
  if (!points.length) {
    frame.replaceChildren(element("p", { class: "nothing" }, "No numbers in this time."));
    return;
  }
  const width = frame.clientWidth, height = frame.clientHeight;
  const left = 44, right = 8, top = 10, bottom = 24;
  let low = Math.min(...points.map((point) => point.min));
  let high = Math.max(...points.map((point) => point.max));
  const reach = 2 * (high - low) || Math.abs(high) || 1;
  const near = limits(device, reading).filter((limit) => limit.value > low - reach && limit.value < high + reach);
  for (const { value } of near) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  low -= room;
  high += room;
  const x = (t) => left + ((width - left - right) * (t + step / 2 - since)) / (until - since);
  const y = (value) => top + ((height - top - bottom) * (high - value)) / (high - low);
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const value of ticks(low, high, height > 240 ? 5 : 3)) {
    svg.append(drawing("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      drawing("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, spoken(Number(value.toPrecision(10)))));
  }
  const [marks, each] = times(since, until, width / 84);
  for (const t of marks) {
    const place = x(t - step / 2);
    const label = new Date(t).toLocaleString(undefined, each >= 24 * HOUR ? { weekday: "short", day: "numeric" } : { hour: "numeric", minute: "2-digit" });
    if (place > left + 12 && place < width - 20) svg.append(drawing("text", { x: place, y: height - 4, "text-anchor": "middle" }, label));
  }
  for (const run of runs(points, step)) {
    const edge = run.map((point) => `${x(point.t).toFixed(1)} ${y(point.max).toFixed(1)}`);
    const back = run.toReversed().map((point) => `${x(point.t).toFixed(1)} ${y(point.min).toFixed(1)}`);
    svg.append(drawing("path", { class: "band", d: `M${[...edge, ...back].join("L")}Z` }),
      drawing("path", { class: "mean", d: `M${run.map((point) => `${x(point.t).toFixed(1)} ${y(point.mean).toFixed(1)}`).join("L")}${run.length === 1 ? "h.01" : ""}` }));
  }
  for (const { value, name } of near) {
    svg.append(drawing("line", { class: "limit", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      drawing("text", { class: "limit-name", x: left + 6, y: y(value) - 5 }, name));
  }
  const cursor = drawing("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  const dot = drawing("circle", { class: "point", r: 4.5, visibility: "hidden" });
  svg.append(cursor, dot);
  const span = `${spoken(Math.min(...points.map((p) => p.min)))} to ${spoken(Math.max(...points.map((p) => p.max)))}${unit ? ` ${unit}` : ""}`;
  svg.setAttribute("aria-label", `${reading} of ${device}, last ${plot.range}: from ${span}`);
  frame.replaceChildren(svg);
  write($("plot-cursor"), `${span} in this time`);
  plot.show = (at) => {
    plot.at = Math.max(0, Math.min(points.length - 1, at));
    const point = points[plot.at];
    cursor.setAttribute("visibility", "visible");
    dot.setAttribute("visibility", "visible");
    for (const name of ["x1", "x2"]) cursor.setAttribute(name, x(point.t));
    dot.setAttribute("cx", x(point.t));
    dot.setAttribute("cy", y(point.mean));
    const moment = new Date(point.t).toLocaleString(undefined, plot.range === "1h" ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { weekday: "short", hour: "numeric", minute: "2-digit" });
    const spread = point.min === point.max ? "" : ` (${spoken(point.min)} to ${spoken(point.max)})`;
    write($("plot-cursor"), `${moment}: ${spoken(Number(point.mean.toPrecision(4)))}${unit ? ` ${unit}` : ""}${spread}`);
  };
  frame.onpointermove = (event) => {
    const t = since + ((event.clientX - frame.getBoundingClientRect().left - left) / (width - left - right)) * (until - since) - step / 2;
    let nearest = 0;
    for (let place = 1; place < points.length; place++) if (Math.abs(points[place].t - t) < Math.abs(points[nearest].t - t)) nearest = place;
    plot.show(nearest);
  };
  plot.redraw = () => drawPlot(unit);
}

/** Points without holes between them: a hole stays a hole in the plot. */
function* runs(points, step) {
  const gaps = points.slice(1).map((point, place) => point.t - points[place].t).sort((a, b) => a - b);
  const usual = Math.max(step, gaps[Math.floor(gaps.length / 2)] ?? step);
  let run = [];
  for (const point of points) {
    if (run.length && point.t - run.at(-1).t > 3 * usual) {
      yield run;
      run = [];
    }
    run.push(point);
  }
  if (run.length) yield run;
}

// ---- hands

$("plot").addEventListener("click", (event) => {
  if (event.target === $("plot")) $("plot").close(); // the backdrop
  const range = event.target.closest?.("[data-range]")?.dataset.range;
  if (range) {
    plot.range = range;
    loadPlot();
  }
});
$("plot").addEventListener("close", () => plot.turn++);
$("plot-frame").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (by && plot.points.length) {
    event.preventDefault();
    plot.show?.((plot.at < 0 ? plot.points.length - (by < 0 ? 0 : 1) : plot.at) + by);
  }
});
new ResizeObserver(() => plot.points.length && plot.redraw?.()).observe($("plot-frame"));

$("filter").addEventListener("input", () => draw("list"));
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, dialog") && !$("filter-box").hidden) {
    event.preventDefault();
    $("filter").focus();
  }
});
$("alerts-more").addEventListener("click", () => {
  state.allAlerts = true;
  draw("alerts");
  requestAnimationFrame(() => $("alerts").children[FEW_ALERTS]?.querySelector("button")?.focus());
});
$("retry").addEventListener("click", () => source.connect());
$("signout").addEventListener("click", async () => {
  await fetch("/signout", { method: "POST", headers: { "X-Edge-Request": "1" } }).catch(() => {});
  location.replace("/signin");
});

// A tab nobody looks at gives its place up: a browser has six connections to the appliance for all of its tabs.
let resting = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(() => source.stop(), 20_000);
  else if (!source.stream) source.connect();
});
addEventListener("online", () => source.open || source.connect());

setInterval(() => {
  if (document.hidden) return;
  for (const card of shown) card.tick();
  tickAlerts();
  for (const item of $("invocations").children) item.tick();
}, 1000);
setInterval(check, 20_000);

source.connect();
