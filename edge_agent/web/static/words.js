// What the parts of the page share: the appliance's time, words, elements, and asking the appliance.

export const $ = (id) => document.getElementById(id);
export const HOUR = 3600_000;
export const collator = new Intl.Collator(undefined, { numeric: true });
/** The appliance's clock less this browser's, in milliseconds. */
export const clock = { skew: 0 };
export const now = () => Date.now() + clock.skew;

// ---- words

export const number = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 5 });
export const count = new Intl.NumberFormat();

export function spoken(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? count.format(value) : number.format(value);
  return value === null || value === undefined ? "–" : String(value);
}

export function ago(t) {
  if (!t) return "never heard";
  const seconds = Math.max(0, Math.round((now() - t) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

export function for_(since) {
  const text = ago(since).replace(" ago", "");
  return text === "now" ? "just now" : `for ${text}`;
}

export function lasting(milliseconds) {
  if (!(milliseconds >= 0)) return "";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${Math.floor(milliseconds / 60_000)} min`;
}

export const clockTime = (t) => new Date(t).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const plural = (n, one, many = `${one}s`) => `${count.format(n)} ${n === 1 ? one : many}`;

// ---- elements

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const SHAPES = {
  critical: ["M8 1.5h8L22.5 8v8L16 22.5H8L1.5 16V8z", "M12 7v6M12 17v.01"],
  warning: ["M12 2.5 23 21.5H1z", "M12 9.5v5M12 18v.01"],
  info: ["M12 1.5a10.5 10.5 0 1 0 0 21 10.5 10.5 0 0 0 0-21z", "M12 11v6M12 7v.01"],
};
export const MARKS = { answered: "M3 8.5l3.5 3.5L13 4.5", dead: "M4 4l8 8M12 4l-8 8", waiting: "M8 4v4.5l3 2M8 1.5a6.5 6.5 0 1 0 .01 0" };

export function glyph(severity) {
  const [shape, sign] = SHAPES[severity] ?? SHAPES.info;
  return drawing("svg", { class: "glyph", viewBox: "0 0 24 24", "aria-hidden": "true" },
    drawing("path", { class: "shape", d: shape }), drawing("path", { class: "sign", d: sign }));
}

export const mark = (kind) => drawing("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, drawing("path", { d: MARKS[kind] ?? MARKS.waiting }));

export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- asking

export class Signed extends Error {}

export async function ask(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { Accept: "application/json", ...(options.method ? { "X-Edge-Request": "1" } : {}), ...options.headers },
  });
  if (response.status === 401) {
    location.replace("/signin");
    throw new Signed("signed out");
  }
  const body = response.status === 204 ? null : await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body?.detail || `the appliance answered ${response.status}`);
  return body;
}

export async function everything(path, most = 20) {
  const items = [];
  let cursor = "";
  for (let page = 0; page < most; page++) {
    const found = await ask(`${path}${path.includes("?") ? "&" : "?"}limit=1000&cursor=${encodeURIComponent(cursor)}`);
    items.push(...found.items);
    cursor = found.cursor;
    if (!cursor) break;
  }
  return items;
}
