// Lists the most viewed instruments. The list is polled, because a stream would count a view of each instrument.

import { change, instrumentDecimals, priceFormat } from "./format.js";

const POLL_INTERVAL = 2_000;
const WIDTH = 96;
const HEIGHT = 32;
const SVG = "http://www.w3.org/2000/svg";

/** Updates `list` every 2 seconds while the page is visible. Calls `onRead(histories)` after each update. */
export class Popular {
  #list; #none; #onRead; #current = null; #timer = 0;

  constructor(list, none, onRead) {
    this.#list = list;
    this.#none = none;
    this.#onRead = onRead;
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#read();
    });
    this.#read();
  }

  /** Marks the instrument that the chart shows. */
  mark(id) {
    this.#current = id;
    for (const item of this.#list.children) this.#markItem(item);
  }

  #markItem(item) {
    const link = item.firstElementChild;
    if (item.dataset.id === this.#current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  async #read() {
    clearTimeout(this.#timer);
    try {
      const response = await fetch("/instruments/popular", { cache: "no-store" });
      if (response.ok) this.#draw(await response.json());
    } catch {
      // The banner reports the failure. The list is left unchanged.
    }
    if (document.visibilityState === "visible") this.#timer = setTimeout(() => this.#read(), POLL_INTERVAL);
  }

  #draw(histories) {
    this.#none.hidden = histories.length > 0;
    while (this.#list.children.length > histories.length) this.#list.lastElementChild.remove();
    while (this.#list.children.length < histories.length) this.#list.append(newItem());
    histories.forEach((history, index) => {
      const item = this.#list.children[index];
      drawItem(item, history);
      this.#markItem(item);
    });
    this.#onRead(histories);
  }
}

function element(name, className) {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

function newItem() {
  const item = document.createElement("li");
  const link = element("a", "row");
  const name = element("span", "row-name");
  name.append(element("b", "row-id"), element("small", "row-description"));
  const figures = element("span", "row-figures");
  figures.append(element("span", "row-price"), element("small", "row-change"));
  link.append(name, newSparkline(), figures);
  item.append(link);
  return item;
}

function newSparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  for (const name of ["spark-area", "spark-line"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    svg.append(path);
  }
  return svg;
}

function drawItem(item, { id, description, candles }) {
  const link = item.firstElementChild;
  item.dataset.id = id;
  link.href = `/chart/${encodeURIComponent(id)}`;
  link.dataset.go = id;
  link.querySelector(".row-id").textContent = id;
  link.querySelector(".row-description").textContent = description ?? "";
  const price = link.querySelector(".row-price");
  const changed = link.querySelector(".row-change");
  if (candles.length === 0) {
    link.dataset.direction = "flat";
    price.textContent = "–";
    changed.textContent = "no quotes yet";
  } else {
    const format = priceFormat(instrumentDecimals(candles));
    const last = candles.at(-1).closePrice;
    const { direction, arrow, percent } = change(candles[0].openPrice, last, format);
    link.dataset.direction = direction;
    price.textContent = format(last);
    changed.textContent = `${arrow} ${percent}`;
  }
  drawSparkline(link.querySelector(".spark"), candles);
}

function drawSparkline(svg, candles) {
  const closes = candles.map(({ closePrice }) => closePrice);
  const high = Math.max(...closes), low = Math.min(...closes);
  // All closes are spread over the full width. A single price is drawn as a horizontal line in the middle.
  const points = closes.map((close, index) => {
    const x = closes.length > 1 ? (index / (closes.length - 1)) * WIDTH : 0;
    const y = high > low ? 2 + ((high - close) / (high - low)) * (HEIGHT - 4) : HEIGHT / 2;
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  if (points.length === 1) points.push(`${WIDTH} ${HEIGHT / 2}`);
  const line = points.length > 0 ? `M${points.join("L")}` : "";
  const [area, stroke] = svg.children;
  stroke.setAttribute("d", line);
  area.setAttribute("d", line && `${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
}
