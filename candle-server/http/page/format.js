// Formats numbers and times for the locale of the browser.

const MINUS = "\u2212";
/** The most decimals of a market price. Further decimals are rounding errors of floating-point numbers. */
const MAX_DECIMALS = 8;

/** Returns the number of decimals that JavaScript prints for a number. */
function decimalsOf(value) {
  const [digits, exponent = "0"] = String(value).split("e");
  return Math.max(0, (digits.split(".")[1] ?? "").length - Number(exponent));
}

/**
 * Returns the number of decimals to show: as many as the prices have. If the prices have more than 8 decimals, enough
 * decimals are shown to see a thousandth of the price range.
 */
export function instrumentDecimals(candles) {
  let decimals = 0, high = -Infinity, low = Infinity;
  for (const { openPrice, highPrice, lowPrice, closePrice } of candles) {
    for (const price of [openPrice, highPrice, lowPrice, closePrice]) decimals = Math.max(decimals, decimalsOf(price));
    high = Math.max(high, highPrice);
    low = Math.min(low, lowPrice);
  }
  if (decimals <= MAX_DECIMALS) return decimals === 1 ? 2 : decimals;
  const range = high - low || Math.abs(high) / 100 || 1;
  return Math.min(MAX_DECIMALS, Math.max(2, Math.ceil(-Math.log10(range / 1000)) - 1));
}

/** Returns a formatter of prices with exactly `decimals` decimals. */
export function priceFormat(decimals) {
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return (price) => format.format(price);
}

const percentFormat = new Intl.NumberFormat(undefined, {
  style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2,
});
const countFormat = new Intl.NumberFormat();
const shortFormat = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 2 });
// The predefined styles of the locale are used. Selecting fields would give "0:08" where people write "00:08".
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const secondFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "long" });

export const count = (value) => countFormat.format(value);
export const short = (value) => shortFormat.format(value);
export const clock = (seconds) => clockFormat.format(seconds * 1000);
export const clockWithSeconds = (seconds) => secondFormat.format(seconds * 1000);
export const zone = () => `Times are ${Intl.DateTimeFormat().resolvedOptions().timeZone || "local"}.`;

/** Returns the direction of the change between two prices, and texts that show the direction without colour. */
export function change(from, to, price) {
  const difference = to - from;
  const direction = difference > 0 ? "up" : difference < 0 ? "down" : "flat";
  const sign = { up: "+", down: MINUS, flat: "" }[direction];
  const arrow = { up: "▲", down: "▼", flat: "●" }[direction];
  const percent = from > 0 ? sign + percentFormat.format(Math.abs(difference / from)) : "";
  return { direction, arrow, absolute: sign + price(Math.abs(difference)), percent };
}

/** Returns an age in words, in the largest suitable unit up to hours. */
export function ago(seconds) {
  if (seconds < 60) return relativeFormat.format(-Math.round(seconds), "second");
  if (seconds < 3600) return relativeFormat.format(-Math.floor(seconds / 60), "minute");
  return relativeFormat.format(-Math.floor(seconds / 3600), "hour");
}
