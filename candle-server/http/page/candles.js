// Computes the history of one instrument from the events of its stream: a snapshot, followed by changes.

const MINUTE = 60;
const WINDOW = 30;

/** Applies an event and returns the new history, which equals the response of a read. Returns null if delisted. */
export function apply(history, name, data) {
  if (name === "snapshot") return data;
  if (name === "delisted" || history === null) return null;
  const { candle, ...facts } = data;
  const next = { ...history, ...facts };
  if (candle === undefined) return next;
  const candles = history.candles.filter(({ openTimestamp }) => openTimestamp !== candle.openTimestamp);
  const index = candles.findIndex(({ openTimestamp }) => openTimestamp > candle.openTimestamp);
  candles.splice(index < 0 ? candles.length : index, 0, candle);
  const first = Math.floor(next.asOf / MINUTE) * MINUTE - (WINDOW - 1) * MINUTE;
  next.candles = candles.filter(({ openTimestamp }) => openTimestamp >= first);
  return next;
}

/** Returns the open, high, low, close, volume and quotes of all candles together, or null without candles. */
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

/** Returns true if the feed was down for part or all of the minute of a candle. A forming minute counts if the feed was down for all of it. */
export const isOutage = ({ coverage, state }) => coverage === "none" || (coverage === "partial" && state !== "forming");

/** Returns the direction of a candle in words. */
export function direction({ filled, openPrice, closePrice }) {
  if (filled) return "no quotes";
  return closePrice > openPrice ? "rising" : closePrice < openPrice ? "falling" : "unchanged";
}
