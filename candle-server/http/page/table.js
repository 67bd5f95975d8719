// Shows the candles as a table. Screen readers always see the table. Other users can show it with a button.

import { clock, count, short } from "./format.js";
import { direction, isOutage } from "./candles.js";

const COLUMNS = ["Minute", "Open", "High", "Low", "Close", "Volume", "Quotes", "Note"];

function note(candle) {
  const words = [];
  if (candle.state !== "final") words.push(candle.state);
  words.push(direction(candle));
  if (isOutage(candle)) words.push("without feed");
  return words.join(", ");
}

function cells(candle, price) {
  const { openTimestamp, openPrice, highPrice, lowPrice, closePrice, volume, quotes } = candle;
  const prices = [openPrice, highPrice, lowPrice, closePrice].map(price);
  return [clock(openTimestamp), ...prices, short(volume), count(quotes), note(candle)];
}

/** Writes `candles` into a table in `host`, newest first. Writes only the cells that changed. */
export function drawTable(host, title, candles, price) {
  let table = host.querySelector("table");
  if (table === null) {
    table = document.createElement("table");
    table.createCaption();
    const head = table.createTHead().insertRow();
    for (const column of COLUMNS) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = column;
      head.append(cell);
    }
    table.createTBody();
    host.append(table);
  }
  set(table.caption, title);
  const body = table.tBodies[0];
  while (body.rows.length > candles.length) body.deleteRow(-1);
  while (body.rows.length < candles.length) {
    const row = body.insertRow();
    COLUMNS.forEach((_, index) => {
      const cell = document.createElement(index === 0 ? "th" : "td");
      if (index === 0) cell.scope = "row";
      row.append(cell);
    });
  }
  [...candles].reverse().forEach((candle, index) => {
    const row = body.rows[index];
    row.className = direction(candle).replace(" ", "-");
    cells(candle, price).forEach((text, column) => set(row.cells[column], text));
  });
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
