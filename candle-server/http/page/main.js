// Selects the instrument and updates all parts of the page.

import { Banner } from "./banner.js";
import { apply, summary } from "./candles.js";
import { Chart } from "./chart.js";
import { change, clockWithSeconds, count, instrumentDecimals, priceFormat, short, zone } from "./format.js";
import { Popular } from "./popular.js";
import { Search } from "./search.js";
import { Stream } from "./stream.js";
import { drawTable } from "./table.js";

/** Time without a connection after which the page reports the server as offline (ms). */
const GONE_AFTER = 8_000;

const find = (id) => document.getElementById(id);
const VEILS = {
  loading: ["", ""],
  never: ["Waiting for the first quote", "It is listed, and nothing has been quoted yet. The chart begins with the first price."],
  unknown: ["No such instrument", "Nothing of this name is listed now. If it comes back, so does the chart."],
  empty: ["Nothing is listed yet", "The chart opens by itself as soon as the feed brings the first instrument."],
  gone: ["The server doesn't answer", "The chart opens by itself as soon as it does."],
};

let shown = null;
let history = null;
let stream = null;
let lastPriceAt = performance.now();
let lostSince = null;
let decimals = 0;
let feed = "live";

const banner = new Banner(() => stream?.retry());
const chart = new Chart({ host: find("chart"), canvas: find("canvas"), legend: find("legend"), spoken: find("spoken") });
const popular = new Popular(find("popular"), find("popular-none"), (histories) => {
  if (shown === null && histories.length > 0) follow(histories[0].id);
  else if (shown === null) veil("empty");
});
const search = new Search(find("search"), find("found"), find("found-none"), go);

/** Returns the instrument in the address, or null if the address selects the most viewed instrument. */
function named() {
  const [, , segment] = location.pathname.split("/");
  try {
    return segment ? decodeURIComponent(segment) : null;
  } catch {
    return segment;
  }
}

function go(id) {
  window.history.pushState(null, "", id === "" ? "/chart" : `/chart/${encodeURIComponent(id)}`);
  route();
}

function route() {
  const id = named();
  if (id === null) {
    // The list of popular instruments may not be loaded yet.
    const first = find("popular").firstElementChild?.dataset.id;
    if (first !== undefined) follow(first);
    else leave();
  } else {
    follow(id);
  }
}

function leave() {
  stream?.close();
  stream = null;
  shown = null;
  history = null;
}

function follow(id) {
  if (id === shown) return;
  leave();
  shown = id;
  decimals = 0;
  lostSince = null;
  lastPriceAt = performance.now();
  find("name").textContent = id;
  find("description").textContent = "";
  document.title = `${id} · candle`;
  popular.mark(id);
  veil("loading");
  banner.show("loading", lastPriceAt);
  stream = new Stream(id, onEvent, onState);
}

function onEvent(name, data) {
  if (name === "feed") {
    feed = data.state;
    if (history !== null) showState();
    return;
  }
  const before = history;
  history = apply(history, name, data);
  if (history === null) {
    unknown();
    return;
  }
  lostSince = null;
  if (name !== "status" || before === null) {
    // The last price of a snapshot may be old. The age of the price is computed on the clock of the candles.
    const old = name === "snapshot" && data.lastQuoteTimestamp !== null ? data.asOf - data.lastQuoteTimestamp : 0;
    const isNew = before === null || before.lastQuoteTimestamp !== history.lastQuoteTimestamp;
    if (isNew) lastPriceAt = performance.now() - old * 1000;
  }
  draw(before);
}

function onState(state) {
  if (state === "open") {
    lostSince = null;
    return;
  }
  lostSince ??= performance.now();
  if (state === "unknown") {
    unknown();
  } else {
    const gone = performance.now() - lostSince > GONE_AFTER;
    banner.show(state === "full" ? "full" : gone ? "gone" : "lost", lastPriceAt);
    if (history === null) veil("gone");
  }
}

function unknown() {
  history = null;
  banner.show("unknown", lastPriceAt);
  find("name").textContent = shown;
  find("description").textContent = "";
  document.title = `${shown} · candle`;
  veil("unknown");
}

/** Covers the chart with the message for `state`, or uncovers the chart if `state` is null. */
function veil(state) {
  const stage = find("stage");
  stage.dataset.state = state ?? "shown";
  stage.setAttribute("aria-busy", String(state === "loading"));
  const [title, text] = VEILS[state] ?? ["", ""];
  find("veil-title").textContent = title;
  find("veil-text").textContent = text;
  find("veil-link").hidden = state !== "unknown";
  find("table").hidden = state !== null;
  if (state === "empty") {
    find("name").textContent = "Candles";
    banner.show("quiet", lastPriceAt);
  }
}

const STATES = { live: "live", stale: "stale", never: "quiet" };
/** The states in which the feed sends no quotes. */
const INTERRUPTED = ["connecting", "silent", "down"];

function showState() {
  const { status } = history;
  banner.show(status === "live" && INTERRUPTED.includes(feed) ? "feed" : STATES[status] ?? "live", lastPriceAt);
}

function draw(before) {
  const { id, description, candles, views } = history;
  showState();
  find("description").textContent = description ?? "";
  const all = summary(candles);
  if (all === null) {
    veil("never");
    return;
  }
  veil(null);
  // The number of decimals never decreases while an instrument is shown, so that digits do not move.
  decimals = Math.max(decimals, instrumentDecimals(candles));
  const price = priceFormat(decimals);
  chart.draw(candles, decimals);
  chart.describe(id, history);
  drawTable(find("table"), `One-minute candles of ${id}, newest first`, candles, price);
  drawPrice(all, price, before?.candles.at(-1)?.closePrice);
  const facts = {
    open: price(all.open), high: price(all.high), low: price(all.low),
    volume: all.volume > 0 ? short(all.volume) : "–", quotes: count(all.quotes), views: count(views),
    time: history.lastQuoteTimestamp === null ? "–" : clockWithSeconds(history.lastQuoteTimestamp),
  };
  for (const [name, text] of Object.entries(facts)) find("facts").querySelector(`[data-fact=${name}]`).textContent = text;
  find("key-outage").hidden = !candles.some(({ coverage }) => coverage !== undefined && coverage !== "complete");
}

function drawPrice(all, price, before) {
  const { direction, arrow, absolute, percent } = change(all.open, all.close, price);
  const text = price(all.close);
  const element = find("price");
  if (before !== undefined && before !== all.close) flash(element, all.close > before ? "up" : "down");
  element.textContent = text;
  const changed = find("change");
  changed.dataset.direction = direction;
  changed.textContent = `${arrow} ${absolute} (${percent})`;
  document.title = `${text} ${arrow} ${shown}`;
}

function flash(element, direction) {
  element.classList.remove("flash-up", "flash-down");
  // Reading the size forces a layout, so that the animation restarts.
  void element.offsetWidth;
  element.classList.add(`flash-${direction}`);
}

function showTable() {
  const table = find("table");
  const isShown = table.classList.toggle("sr") === false;
  find("as-table").setAttribute("aria-expanded", String(isShown));
  find("as-table").textContent = isShown ? "Hide the table" : "Show as a table";
  // The keyboard must reach a scrolling table, but not a hidden table.
  table.toggleAttribute("tabindex", isShown);
  if (isShown) table.tabIndex = 0;
  if (isShown) table.scrollIntoView({ block: "nearest" });
}

const THEMES = { system: "as the system", light: "light", dark: "dark" };

function nextTheme() {
  const root = document.documentElement;
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(root.dataset.theme ?? "system") + 1) % names.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  find("theme").setAttribute("aria-label", `Colours: ${THEMES[next]}`);
  find("theme").title = `Colours: ${THEMES[next]}`;
  try {
    localStorage.setItem("candle-theme", next);
  } catch {
    // The browser disables storage. The choice is lost when the page is closed.
  }
}

const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "/") search.focus();
  else if (event.key === "t") showTable();
  else return;
  event.preventDefault();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (link === null || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.dataset.go);
});
window.addEventListener("popstate", route);
find("theme").addEventListener("click", nextTheme);
find("as-table").addEventListener("click", showTable);
find("zone").textContent = zone();
route();
