// The functions: who works, what waits, how often they ran and failed.
//
// In: `/api/v1/functions` and `/api/v1/usage`, asked for every so often and soon after something ran. Out: one card each.

import { $, collator, count, drawing, element, everything, HOUR, now, plural, write } from "./words.js";

const RANGES = { "1h": [HOUR, 60_000, "1 h ago"], "24h": [24 * HOUR, HOUR, "24 h ago"], "7d": [7 * 24 * HOUR, 6 * HOUR, "7 days ago"] };
const STATES = ["busy", "idle", "starting", "ending"];
const MOST_DOTS = 16;
const SOON = 1500; // ms after something ran
const PAUSE = 5000; // ms between two looks, however much runs

const cards = new Map();
let range = "24h";
let timer = 0;
let looked = 0;
let turn = 0;

export const functions = {
  /** Ask for everything and draw it. What is wrong shows elsewhere: the stream breaks too. */
  async load() {
    clearTimeout(timer);
    timer = 0;
    looked = Date.now();
    const mine = ++turn;
    const [span, step] = RANGES[range];
    const since = Math.round(now() - span);
    try {
      const [known, used] = await Promise.all([everything("/api/v1/functions"), everything(`/api/v1/usage?since=${since}&step=${step}`)]);
      if (mine === turn) draw(known, new Map(used.map((one) => [one.function, one])));
    } catch { /* the next time */ }
  },

  /** Something ran: look again in a moment. */
  soon() {
    if (!timer && !document.hidden) timer = setTimeout(() => functions.load(), Math.max(SOON, looked + PAUSE - Date.now()));
  },
};

function draw(known, used) {
  known.sort((a, b) => collator.compare(a.name, b.name));
  for (const name of [...cards.keys()]) if (!known.some((one) => one.name === name)) cards.delete(name);
  const roots = known.map((one) => {
    const card = cards.get(one.name) ?? new Card(one.name);
    cards.set(one.name, card);
    card.draw(one, used.get(one.name));
    return card.root;
  });
  const list = $("function-list");
  if (roots.length !== list.children.length || roots.some((root, place) => list.children[place] !== root)) list.replaceChildren(...roots);
  $("functions").hidden = !known.length;
  const busy = known.reduce((sum, one) => sum + (one.workers?.busy ?? 0), 0);
  write($("functions-count"), `${count.format(known.length)} · ${busy ? `${plural(busy, "worker")} busy` : "none busy"}`);
}

class Card {
  constructor(name) {
    this.rate = element("span", { class: "rate" });
    this.bars = drawing("svg", { class: "bars", preserveAspectRatio: "none", role: "img" });
    this.from = element("span");
    this.peak = element("span");
    this.figures = element("dl", { class: "figures" });
    this.crew = element("p", { class: "crew" });
    this.notes = element("ul", { class: "notes" });
    this.failed = element("p", { class: "failed" });
    this.root = element("li", { class: "function" },
      element("header", {}, element("h3", { title: name }, name), this.rate),
      this.bars, element("p", { class: "axis" }, this.from, this.peak, element("span", {}, "now")),
      this.figures, this.crew, this.notes, this.failed);
    this.name = name;
  }

  draw(one, used) {
    this.drawCrew(one);
    this.drawNotes(one);
    const why = one.last_error ?? "";
    this.failed.hidden = !why;
    write(this.failed, why && `Cannot start: ${why.split("; it printed")[0].split("\n")[0].slice(0, 240)}`);
    if (used) this.drawUse(used);
  }

  drawCrew({ workers = {}, queue = 0, on_disk: more }) {
    const there = STATES.filter((state) => workers[state]);
    const dots = there.flatMap((state) => Array.from({ length: workers[state] }, () => element("i", { class: state, "aria-hidden": "true" }))).slice(0, MOST_DOTS);
    const said = there.map((state) => `${count.format(workers[state])} ${state}`).join(" · ") || "no worker waits: the next event starts one";
    const waits = queue ? [element("span", { class: "waiting" }, `${plural(queue, "event")}${more ? " and more" : ""} waiting`)] : [];
    this.crew.replaceChildren(...dots, element("span", {}, said), ...waits);
  }

  /** What is out of the ordinary: a start that waits, a rush, somebody's word or the hour's on how many wait in advance. */
  drawNotes({ delayed, advice, panic, override, schedule, min_idle: least = 0, desired = 0, workers = {} }) {
    const there = (workers.busy ?? 0) + (workers.idle ?? 0) + (workers.starting ?? 0);
    const notes = [];
    if (delayed) notes.push(["held", `The next worker waits: ${delayed.why}.`]);
    if (advice) notes.push(["advice", `${advice[0].toUpperCase()}${advice.slice(1)}.`]);
    if (panic) notes.push(["rush", "A rush: no worker is let go for a minute."]);
    if (desired > there) notes.push(["wanted", `${plural(desired, "worker")} wanted, ${count.format(there)} there.`]);
    if (override !== null && override !== undefined) notes.push(["hand", `Scaled by hand: ${count.format(override)} to wait in advance.`]);
    else if (schedule) notes.push(["hour", `Scheduled: ${count.format(least)} to wait in advance until ${soonTime(schedule.until)}.`]);
    const fresh = notes.map(([kind, text]) => `${kind} ${text}`).join("\n");
    this.notes.hidden = !notes.length;
    if (fresh === this.noted) return;
    this.noted = fresh;
    this.notes.replaceChildren(...notes.map(([kind, text]) => element("li", { class: kind }, text)));
  }

  drawUse({ total, recent, items }) {
    const a_minute = recent.invocations / (recent.span / 60_000 || 5);
    write(this.rate, a_minute >= 1 ? `${count.format(Math.round(a_minute))} a minute` : recent.invocations ? `${count.format(recent.invocations)} in 5 min` : "quiet");
    this.drawBars(items);
    const share = total.invocations ? (100 * total.errors) / total.invocations : 0;
    this.figures.replaceChildren(
      figure("Ran", count.format(total.invocations)),
      figure("Failed", total.errors ? `${count.format(total.errors)}` : "none", total.errors ? `${share < 1 ? "<1" : Math.round(share)} %` : "", total.errors > 0),
      figure("95 % within", total.p95_ms === null ? "–" : within(total.p95_ms)));
    this.figures.title = `${plural(total.cold_starts, "cold start")}, ${Number(total.gb_seconds.toPrecision(3))} GB-seconds`;
  }

  drawBars(items) {
    const [span, step, from] = RANGES[range];
    const until = now(), first = until - span - ((until - span) % step);
    const slots = Math.floor((until - first) / step) + 1;
    const high = Math.max(1, ...items.map((item) => item.invocations));
    this.bars.setAttribute("viewBox", `0 0 ${slots} 100`);
    const drawn = [];
    let worst = 0;
    for (const item of items) {
      const x = Math.floor((item.t - first) / step);
      if (x < 0 || x >= slots) continue;
      // One that ran is always seen, and one that failed as well.
      const tall = Math.max(3, (100 * item.invocations) / high);
      const bad = item.errors ? Math.min(tall, Math.max(3, (100 * item.errors) / high)) : 0;
      worst = Math.max(worst, item.errors);
      const what = `${moment(item.t, step)}: ${plural(item.invocations, "invocation")}${item.errors ? `, ${count.format(item.errors)} failed` : ""}${item.p95_ms === null ? "" : `, 95 % within ${within(item.p95_ms)}`}`;
      drawn.push(drawing("g", {}, drawing("title", {}, what), drawing("rect", { class: "hit", x, y: 0, width: 1, height: 100 }),
        drawing("rect", { class: "ok", x: x + 0.12, width: 0.76, y: 100 - tall, height: tall - bad }),
        drawing("rect", { class: "bad", x: x + 0.12, width: 0.76, y: 100 - bad, height: bad })));
    }
    this.bars.replaceChildren(...drawn);
    this.bars.setAttribute("aria-label", `Invocations of ${this.name} since ${from}: at most ${high} at once in a bar${worst ? `, up to ${worst} of them failed` : ""}`);
    write(this.from, from);
    write(this.peak, items.length ? `peak ${count.format(high)} ${{ 60_000: "a minute", [HOUR]: "an hour" }[step] ?? "in 6 h"}` : "did not run");
  }
}

function figure(name, value, more = "", bad = false) {
  return element("div", {}, element("dt", {}, name), element("dd", bad ? { class: "bad" } : {}, value, ...(more ? [" ", element("small", {}, more)] : [])));
}

function within(milliseconds) {
  return milliseconds < 1000 ? `${Number(milliseconds.toPrecision(2))} ms` : `${Number((milliseconds / 1000).toPrecision(2))} s`;
}

function soonTime(t) {
  const far = t - now() > 20 * HOUR;
  return new Date(t).toLocaleString(undefined, { ...(far ? { weekday: "short" } : {}), hour: "2-digit", minute: "2-digit" });
}

function moment(t, step) {
  return new Date(t).toLocaleString(undefined, step < HOUR ? { hour: "2-digit", minute: "2-digit" } : { weekday: "short", hour: "2-digit", minute: "2-digit" });
}

$("functions-ranges").addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-span]")?.dataset.span;
  if (!chosen || chosen === range) return;
  range = chosen;
  for (const button of $("functions-ranges").children) button.setAttribute("aria-pressed", String(button.dataset.span === range));
  functions.load();
});
