// Draws candles, volume and outages with TradingView's Lightweight Charts.

import {
  CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries, LineStyle,
} from "./lightweight-charts-5.2.1.mjs";
import { change, clock, clockWithSeconds, count, priceFormat, short } from "./format.js";
import { direction, isOutage } from "./candles.js";

const MINUTE = 60;
const WINDOW = 30;

/** Returns a colour that the style sheet defines as the variable `--name`. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function palette() {
  const names = ["up", "up-body", "down", "down-body", "flat", "up-volume", "down-volume", "outage", "text", "grid", "line"];
  return Object.fromEntries(names.map((name) => [name, colour(name)]));
}

/** The chart of one instrument. The pointer and the arrow keys select a candle. */
export class Chart {
  #chart; #series; #volume; #outage; #host; #legend; #spoken; #palette; #candles = []; #price = priceFormat(2); #decimals = null;
  #selected = null; #last = null;

  constructor({ host, canvas, legend, spoken }) {
    this.#host = host;
    this.#legend = legend;
    this.#spoken = spoken;
    this.#palette = palette();
    this.#chart = createChart(canvas, this.#options());
    this.#outage = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "outage", lastValueVisible: false, priceLineVisible: false,
      autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }),
    });
    this.#volume = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    this.#series = this.#chart.addSeries(CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
    this.#chart.priceScale("outage").applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.#chart.subscribeCrosshairMove(({ time, sourceEvent }) => {
      if (sourceEvent !== undefined || time === undefined) this.#drawLegend(time);
    });
    new ResizeObserver(() => this.#fit()).observe(canvas);
    host.addEventListener("keydown", (event) => this.#key(event));
    host.addEventListener("blur", () => this.#deselect());
    const redraw = () => this.#recolour();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Draws candles, sorted oldest first. Prices have `decimals` decimals. */
  draw(candles, decimals) {
    this.#candles = candles;
    if (decimals !== this.#decimals) {
      this.#decimals = decimals;
      this.#price = priceFormat(decimals);
      this.#series.applyOptions({ priceFormat: { type: "custom", formatter: this.#price, minMove: 10 ** -decimals } });
    }
    const padding = this.#padding();
    // The library has one index for the times of all series. If one series still has times of the previous window while
    // another series is set, the library fails with "Value is null". So the other series are emptied first.
    this.#volume.setData([]);
    this.#outage.setData([]);
    this.#series.setData([...padding, ...candles.map((candle) => this.#item(candle))]);
    const hasVolume = candles.some(({ volume }) => volume > 0);
    this.#chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.08, bottom: hasVolume ? 0.22 : 0.08 } });
    if (hasVolume) this.#volume.setData(candles.map((candle) => this.#volumeItem(candle)));
    this.#outage.setData(candles.filter(isOutage).map(({ openTimestamp }) => (
      { time: openTimestamp, value: 1, color: this.#palette.outage }
    )));
    this.#drawLast();
    this.#fit();
    if (this.#selected === null) this.#drawLegend(undefined);
    else this.#select(this.#selected);
  }

  /** Draws the line of the last price in the border colour of its candle. By default, the line has the body colour. */
  #drawLast() {
    const candle = this.#candles.at(-1);
    if (this.#last !== null) this.#series.removePriceLine(this.#last);
    this.#last = candle === undefined ? null : this.#series.createPriceLine({
      price: candle.closePrice, color: this.#item(candle).borderColor, lineWidth: 1, lineStyle: LineStyle.Dashed,
      axisLabelVisible: true, axisLabelTextColor: colour("label"), title: "",
    });
  }

  /** Returns empty items before the first candle, so that the chart always has the width of 30 minutes. */
  #padding() {
    const first = this.#candles[0]?.openTimestamp ?? 0;
    const missing = this.#candles.length === 0 ? 0 : Math.max(0, WINDOW - this.#candles.length);
    return Array.from({ length: missing }, (_, index) => ({ time: first - (missing - index) * MINUTE }));
  }

  #item(candle) {
    const { openTimestamp: time, openPrice: open, highPrice: high, lowPrice: low, closePrice: close } = candle;
    const { up, down, flat } = this.#palette;
    const [line, body] = candle.filled ? [flat, flat] : close >= open ? [up, this.#palette["up-body"]] : [down, this.#palette["down-body"]];
    return { time, open, high, low, close, color: body, borderColor: line, wickColor: line };
  }

  #volumeItem({ openTimestamp: time, openPrice, closePrice, volume: value }) {
    return { time, value, color: this.#palette[closePrice >= openPrice ? "up-volume" : "down-volume"] };
  }

  #options() {
    const { text, grid, line } = this.#palette;
    const label = { color: line, labelBackgroundColor: line };
    return {
      autoSize: true,
      layout: {
        background: { type: ColorType.Solid, color: "transparent" }, textColor: text, fontSize: 12,
        fontFamily: getComputedStyle(document.body).fontFamily, attributionLogo: false,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: grid } },
      crosshair: { mode: CrosshairMode.Normal, vertLine: label, horzLine: label },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
      timeScale: {
        borderVisible: false, timeVisible: true, secondsVisible: false, lockVisibleTimeRangeOnResize: true, tickMarkFormatter: (time) => clock(time),
      },
      localization: { timeFormatter: (time) => clock(time) },
      handleScroll: false,
      handleScale: false,
    };
  }

  #recolour() {
    this.#palette = palette();
    this.#chart.applyOptions(this.#options());
    if (this.#candles.length > 0) this.draw(this.#candles, this.#decimals);
  }

  #fit() {
    this.#chart.timeScale().setVisibleLogicalRange({ from: -0.6, to: WINDOW - 0.1 });
  }

  /** Writes the legend of the candle at `time`, or of the last candle if no candle has this time. */
  #drawLegend(time) {
    const candle = this.#candles.find(({ openTimestamp }) => openTimestamp === time) ?? this.#candles.at(-1);
    this.#legend.replaceChildren();
    if (candle === undefined) return;
    const { openTimestamp, openPrice, highPrice, lowPrice, closePrice, volume, quotes } = candle;
    const { direction: way, percent } = change(openPrice, closePrice, this.#price);
    this.#legend.dataset.direction = candle.filled ? "flat" : way;
    const parts = [
      ["", clock(openTimestamp) + (candle.state === "final" ? "" : ` ${candle.state}`)], ["O", this.#price(openPrice)], ["H", this.#price(highPrice)],
      ["L", this.#price(lowPrice)], ["C", this.#price(closePrice)], ["", candle.filled ? "no quotes" : percent],
    ];
    if (volume > 0) parts.push(["Vol", short(volume)]);
    if (!candle.filled) parts.push(["Quotes", count(quotes)]);
    for (const [name, text] of parts) {
      const part = document.createElement("span");
      if (name !== "") {
        const label = document.createElement("i");
        label.textContent = `${name} `;
        part.append(label);
      }
      part.append(text);
      this.#legend.append(part);
    }
  }

  #key(event) {
    const last = this.#candles.length - 1;
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = this.#candles.findIndex(({ openTimestamp }) => openTimestamp === this.#selected);
    const from = index < 0 ? last + 1 : index;
    const to = {
      ArrowLeft: Math.max(0, from - 1), ArrowRight: Math.min(last, from + 1), Home: 0, End: last,
    }[event.key];
    if (event.key === "Escape") this.#deselect();
    if (to === undefined) return;
    event.preventDefault();
    this.#selected = this.#candles[to].openTimestamp;
    this.#select(this.#selected);
    this.#announce(this.#candles[to]);
  }

  #select(time) {
    const candle = this.#candles.find(({ openTimestamp }) => openTimestamp === time);
    if (candle === undefined) {
      this.#deselect();
      return;
    }
    this.#chart.setCrosshairPosition(candle.closePrice, time, this.#series);
    this.#drawLegend(time);
  }

  #deselect() {
    this.#selected = null;
    this.#chart.clearCrosshairPosition();
    this.#drawLegend(undefined);
  }

  #announce(candle) {
    const price = this.#price;
    this.#spoken.textContent = candle.filled
      ? `${clock(candle.openTimestamp)}: no quotes, ${price(candle.closePrice)}`
      : `${clock(candle.openTimestamp)}: ${direction(candle)}, open ${price(candle.openPrice)}, high ${price(candle.highPrice)}, `
        + `low ${price(candle.lowPrice)}, close ${price(candle.closePrice)}, ${count(candle.quotes)} quotes`;
  }

  /** Sets the accessible name of the chart to a sentence about its content. */
  describe(id, history) {
    const time = history.lastQuoteTimestamp === null ? "" : `, last price at ${clockWithSeconds(history.lastQuoteTimestamp)}`;
    this.#host.setAttribute("aria-label", `Candles of ${id}: ${history.candles.length} minutes${time}. Arrow keys read them one by one.`);
  }
}
