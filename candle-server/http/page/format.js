// Numbers and times as the reader writes them.

const MINUS = "\u2212";
/** More decimals than this are rounding noise of a float, not something a market quotes. */
const QUOTED = 8;

/** How many decimals a number has in its shortest form. */
function decimalsOf(value) {
  const [digits, exponent = "0"] = String(value).split("e");
  return Math.max(0, (digits.split(".")[1] ?? "").length - Number(exponent));
}

/**
 * The decimals an instrument is shown with: as many as its prices have. Where they are noise, as many as tell a
 * thousandth of the range apart.
 */
export function instrumentDecimals(candles) {
  let decimals = 0, high = -Infinity, low = Infinity;
  for (const { openPrice, highPrice, lowPrice, closePrice } of candles) {
    for (const price of [openPrice, highPrice, lowPrice, closePrice]) decimals = Math.max(decimals, decimalsOf(price));
    high = Math.max(high, highPrice);
    low = Math.min(low, lowPrice);
  }
  if (decimals <= QUOTED) return decimals === 1 ? 2 : decimals;
  const range = high - low || Math.abs(high) / 100 || 1;
  return Math.min(QUOTED, Math.max(2, Math.ceil(-Math.log10(range / 1000)) - 1));
}

/** A formatter of prices with exactly these decimals. */
export function priceFormat(decimals) {
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return (price) => format.format(price);
}

const percentFormat = new Intl.NumberFormat(undefined, {
  style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2,
});
const countFormat = new Intl.NumberFormat();
const shortFormat = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 2 });
// The locale's own styles: picking the parts instead gives "0:08" where people write "00:08".
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const secondFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relativeFormat = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "long" });

export const count = (value) => countFormat.format(value);
export const short = (value) => shortFormat.format(value);
export const clock = (seconds) => clockFormat.format(seconds * 1000);
export const clockWithSeconds = (seconds) => secondFormat.format(seconds * 1000);
export const zone = () => `Times are ${Intl.DateTimeFormat().resolvedOptions().timeZone || "local"}.`;

/** The way from `from` to `to`: its direction, and the difference in words that don't need colour. */
export function change(from, to, price) {
  const difference = to - from;
  const direction = difference > 0 ? "up" : difference < 0 ? "down" : "flat";
  const sign = { up: "+", down: MINUS, flat: "" }[direction];
  const arrow = { up: "▲", down: "▼", flat: "●" }[direction];
  const percent = from > 0 ? sign + percentFormat.format(Math.abs(difference / from)) : "";
  return { direction, arrow, absolute: sign + price(Math.abs(difference)), percent };
}

/** How long ago, in the largest unit that fits. */
export function ago(seconds) {
  if (seconds < 60) return relativeFormat.format(-Math.round(seconds), "second");
  if (seconds < 3600) return relativeFormat.format(-Math.floor(seconds / 60), "minute");
  return relativeFormat.format(-Math.floor(seconds / 3600), "hour");
}
