// One instrument's history as the stream tells it: a snapshot, and then what changes.

const MINUTE = 60;
const WINDOW = 30;

/** The history after an event: the same that a plain read answers. */
export function apply(history, name, data) {
  if (name === "snapshot") return data;
  if (name === "delisted" || history === null) return null;
  const { candle, ...facts } = data;
  const next = { ...history, ...facts };
  if (candle === undefined) return next;
  const candles = history.candles.filter(({ openTimestamp }) => openTimestamp !== candle.openTimestamp);
  const place = candles.findIndex(({ openTimestamp }) => openTimestamp > candle.openTimestamp);
  candles.splice(place < 0 ? candles.length : place, 0, candle);
  const first = Math.floor(next.asOf / MINUTE) * MINUTE - (WINDOW - 1) * MINUTE;
  next.candles = candles.filter(({ openTimestamp }) => openTimestamp >= first);
  return next;
}

/** What the window's candles say together; null where there is none. */
export function summary(candles) {
  if (candles.length === 0) return null;
  const traded = candles.filter(({ filled }) => !filled);
  return {
    open: candles[0].openPrice,
    close: candles.at(-1).closePrice,
    high: Math.max(...candles.map(({ highPrice }) => highPrice)),
    low: Math.min(...candles.map(({ lowPrice }) => lowPrice)),
    volume: traded.reduce((sum, { volume }) => sum + volume, 0),
    quotes: traded.reduce((sum, { quotes }) => sum + quotes, 0),
  };
}

/** Whether the feed was down for part of a candle's minute, or all of it. */
export const isOutage = ({ coverage, state }) => coverage === "none" || (coverage === "partial" && state !== "forming");

/** One word for the way a candle went. */
export function direction({ filled, openPrice, closePrice }) {
  if (filled) return "no quotes";
  return closePrice > openPrice ? "rising" : closePrice < openPrice ? "falling" : "unchanged";
}
