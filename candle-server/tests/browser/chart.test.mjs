// The chart page in a real browser. `.ci/run` runs these tests. To run them alone: npm install && node --test

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Feed, Server, stopAll } from "./server.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = new URL("../../../target/screenshots/", import.meta.url).pathname;
const EXAMPLE = new URL("../../../examples/web/index.html", import.meta.url);
/** An instrument is stale after 15 s, and the server reconnects to a feed within 30 s. The rest is for a busy machine. */
const UNTIL_STATE = 60_000;
const HOSTILE = "<img src=x onerror=alert(1)>";

let browser;
let server;
let heartbeat;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--force-color-profile=srgb"],
  });
  server = await Server.start();
  server.list("BTC/USD", "Bitcoin in US dollars");
  server.list("QUIET", "Nothing quoted yet");
  server.list(HOSTILE.replaceAll(" ", "_"), HOSTILE);
  server.list("EURUSD", "Euro in US dollars");
  server.past("BTC/USD", 87232.5);
  server.past("EURUSD", 108.41);
  for (const id of ["AAPL", "MSFT", "NESN", "SAP", "TSLA", "XAU", "VOW3"]) server.past(id, 50 + id.charCodeAt(0) * 2);
  server.quote(HOSTILE.replaceAll(" ", "_"), 7);
  await server.knows(HOSTILE.replaceAll(" ", "_"), 7);
  heartbeat = setInterval(() => {
    server.quote("BTC/USD", 87232.5);
    server.quote("XAU", 226);
  }, 1000);
});

after(async () => {
  clearInterval(heartbeat);
  await browser?.close();
  await stopAll();
});

/** A page that records errors. `check()` fails if there is one. */
async function open(path, { site = server, width = 1280, height = 860, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale: "en-GB", timezoneId: "Europe/Paris", ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => {
    // The warning about slow pixel reads is caused by this test.
    const isOurs = ["error", "warning"].includes(message.type()) && !message.text().includes("getImageData");
    if (isOurs) errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${site.url}/`)) errors.push(`outside request: ${request.url()}`);
  });
  await page.goto(site.url + path);
  return {
    page,
    errors,
    async shot(name) {
      await page.screenshot({ path: `${SHOTS}${name}.png` });
    },
    async close() {
      assert.deepEqual(errors, []);
      await context.close();
    },
  };
}

const shown = (page) => page.waitForSelector("#stage[data-state=shown]");
const state = (page, name) => page.waitForSelector(`#pill[data-state=${name}]`, { timeout: UNTIL_STATE });
const text = (page, selector) => page.locator(selector).textContent();
const until = (page, selector, wanted) => page.waitForFunction(
  ([selector, wanted]) => document.querySelector(selector).textContent === wanted, [selector, wanted],
);

/** Returns the number of chart pixels whose colour is close to a colour of the style sheet. */
function painted(page, name) {
  return page.evaluate((name) => {
    const paint = document.createElement("canvas").getContext("2d");
    paint.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
    paint.fillRect(0, 0, 1, 1);
    const wanted = paint.getImageData(0, 0, 1, 1).data;
    let count = 0;
    for (const canvas of document.querySelectorAll("#canvas canvas")) {
      if (canvas.width === 0 || canvas.height === 0) continue;
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 250 && [0, 1, 2].every((part) => Math.abs(data[at + part] - wanted[part]) < 3)) count++;
      }
    }
    return count;
  }, name);
}

/** Waits for the next minute if it is about to start, so that the rest of the test runs in one minute. */
async function withinMinute() {
  const left = 60_000 - Date.now() % 60_000;
  if (left < 20_000) await new Promise((turned) => setTimeout(turned, left + 200));
}

/** Waits until enough of the chart has this colour. */
async function drawn(page, name) {
  for (const end = Date.now() + UNTIL_STATE; (await painted(page, name)) <= 20;) {
    assert.ok(Date.now() < end, `${name} is drawn`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
  assert.deepEqual(told, [], what);
}

async function fits(page) {
  const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
  assert.ok(scroll <= inner, `${scroll} pixels wide in ${inner}`);
}

test("the first paint has 30 candles, drawn and in the table", async () => {
  const { page, shot, close } = await open("/chart/BTC%2FUSD");
  await shown(page);
  assert.equal(await page.locator("#table tbody tr").count(), 30);
  assert.equal(await text(page, "#name"), "BTC/USD");
  assert.equal(await text(page, "#description"), "Bitcoin in US dollars");
  assert.equal(await text(page, "#price"), "87,232.50");
  for (const colour of ["up", "up-body", "down", "flat"]) await drawn(page, colour);
  // The forming minute has no quotes either until its first one.
  await page.waitForFunction(() => document.querySelectorAll("#table tbody tr.no-quotes").length === 3);
  assert.equal(await page.locator("#popular li").count(), 10);
  assert.ok(await page.getByRole("link", { name: "TradingView", exact: true }).isVisible());
  assert.match(await text(page, "footer"), /TradingView Lightweight Charts™\s+Copyright/);
  await accessible(page, "light");
  await shot("light");
  await close();
});

test("a quote moves the forming candle, and text of the feed never becomes markup", async () => {
  await withinMinute();
  const { page, close } = await open("/chart/EURUSD");
  await shown(page);
  for (const price of [109.25, 107.5]) {
    server.quote("EURUSD", price);
    await until(page, "#price", price.toFixed(2));
  }
  await until(page, "#table tbody tr:first-child td:last-child", "forming, falling");
  const hostile = HOSTILE.replaceAll(" ", "_");
  await page.locator("#search").fill("<img");
  await page.waitForFunction(() => document.querySelectorAll("[role=option]").length === 1);
  await page.keyboard.press("Enter");
  await until(page, "#name", hostile);
  await until(page, "#description", HOSTILE);
  assert.equal(await page.locator("main img, .search img").count(), 0);
  await close();
});

test("the page without an instrument shows the most viewed", async () => {
  const { page, close } = await open("/chart");
  await shown(page);
  const [first] = await server.get("/instruments/popular");
  assert.equal(await text(page, "#name"), first.id);
  await page.locator("#popular li:nth-child(3) a").click();
  await page.waitForURL(/\/chart\/.+/);
  const chosen = await text(page, "#popular li a[aria-current=page] .row-id");
  await until(page, "#name", chosen);
  await page.goBack();
  await until(page, "#name", first.id);
  await close();
});

test("the banner appears when the feed stops, and disappears when it resumes", async () => {
  let feed = await Feed.start();
  const fed = await Server.start(undefined, `ws://127.0.0.1:${feed.port}/`);
  const quotes = setInterval(() => feed.send({ id: "W", price: 20 + Math.floor(Math.random() * 5) }), 200).unref();
  await fed.knows("W");
  const { page, shot, close } = await open("/chart/W", { site: fed });
  await shown(page);
  await state(page, "live");
  assert.ok(await page.locator("#banner").isHidden());
  await feed.stop();
  await state(page, "feed");
  assert.match(await text(page, "#banner"), /feed is interrupted/);
  await state(page, "stale");
  assert.match(await text(page, "#banner"), /No new prices.*Last price \d+ seconds ago/s);
  await accessible(page, "stale");
  await shot("stale");
  feed = await Feed.start(feed.port);
  await state(page, "live");
  assert.ok(await page.locator("#banner").isHidden());
  await close();
  clearInterval(quotes);
  await fed.stop();
  await feed.stop();
});

test("the first outages of a chart are drawn at the end of a minute without an error of the library", async () => {
  const { page, close } = await open("/chart/QUIET");
  await page.waitForSelector("#stage[data-state=never]");
  await page.evaluate(async () => {
    const { Chart } = await import("/assets/chart.js");
    const [host, canvas, legend, spoken] = Array.from({ length: 4 }, () => document.body.appendChild(document.createElement("div")));
    canvas.style.height = "300px";
    const frame = () => new Promise(requestAnimationFrame);
    const candle = (minute, coverage, state = "final") => ({
      openTimestamp: 1_763_870_400 + minute * 60, openPrice: 20, highPrice: 23, lowPrice: 19, closePrice: 21,
      volume: 0, quotes: 3, filled: false, state, coverage,
    });
    const chart = new Chart({ host, canvas, legend, spoken });
    chart.draw([candle(0, "partial", "forming")], 2);
    await frame();
    // Two events at the end of one minute, before the browser paints, as while a feed is down.
    chart.draw([candle(0, "partial")], 2);
    chart.draw([candle(0, "partial"), candle(1, "none")], 2);
    await frame();
    await frame();
  });
  await close();
});

test("the page reports a killed server, and recovers when it restarts", async () => {
  const mortal = await Server.start();
  mortal.list("A", null);
  mortal.past("A", 50);
  await mortal.knows("A", 50);
  const { page, errors, shot, close } = await open("/chart/A", { site: mortal });
  await shown(page);
  await mortal.stop("SIGKILL");
  await state(page, "lost");
  assert.match(await text(page, "#banner"), /Reconnecting/);
  await state(page, "gone");
  assert.match(await text(page, "#banner"), /doesn't answer/);
  await accessible(page, "gone");
  await shot("gone");
  const again = await Server.start(new URL(mortal.url).host);
  again.past("A", 60);
  await again.knows("A", 60);
  // The page may have retried by itself.
  await page.evaluate(() => document.getElementById("banner-retry").click());
  await until(page, "#price", "60.00");
  await state(page, "live");
  // The browser logs refused and closed connections, which this test causes, and 404s of instruments not listed yet.
  errors.splice(0, errors.length, ...errors.filter((error) => !/net::ERR_(CONNECTION_|INCOMPLETE_CHUNKED|EMPTY)|404/.test(error)));
  await close();
  await again.stop();
});

test("everything is reachable by keyboard", async () => {
  const { page, shot, close } = await open("/chart/BTC%2FUSD");
  await shown(page);
  await page.keyboard.press("/");
  await page.keyboard.type("x");
  // The results for the empty text may be shown for a moment.
  await page.waitForFunction(() => document.querySelectorAll("[role=option]").length === 1);
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.getAttribute("#search", "aria-activedescendant"), "found-0");
  await accessible(page, "search");
  await shot("search");
  await page.keyboard.press("Enter");
  await until(page, "#name", "XAU");
  await shown(page);
  for (let tabs = 0; await page.evaluate(() => document.activeElement.id !== "chart"); tabs++) {
    assert.ok(tabs < 12, "the chart is within a few tabs");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  const spoken = await text(page, "#spoken");
  assert.match(spoken, /^\d\d:\d\d: \w+, open [\d.,]+, high [\d.,]+, low [\d.,]+, close [\d.,]+, \d+ quotes$/);
  assert.match(await text(page, "#legend"), new RegExp(spoken.slice(0, 5)));
  await page.keyboard.press("t");
  assert.equal(await page.getAttribute("#as-table", "aria-expanded"), "true");
  assert.ok((await page.locator("#table table").boundingBox()).height > 400);
  await accessible(page, "table");
  await shot("table");
  await close();
});

test("times before ten o'clock have the leading zero of the locale", async () => {
  const { page, close } = await open("/chart");
  const [midnight, morning] = await page.evaluate(async () => {
    const { clock, clockWithSeconds } = await import("/assets/format.js");
    return [clock(23 * 3600 + 480), clockWithSeconds(8 * 3600 + 489)];
  });
  assert.deepEqual([midnight, morning], ["00:08", "09:08:09"]);
  await close();
});

test("the page fits a phone of 320 pixels and a screen of 1920, also in the dark theme", async () => {
  for (const [name, width, height, colorScheme] of [
    ["phone", 320, 1180, "light"], ["phone-dark", 390, 844, "dark"], ["wide-dark", 1920, 1080, "dark"],
  ]) {
    const { page, shot, close } = await open("/chart/BTC%2FUSD", { width, height, colorScheme });
    await shown(page);
    await fits(page);
    const { width: chart } = await page.locator("#canvas").boundingBox();
    assert.ok(chart > width * 0.6, `${chart} of ${width}`);
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(background === "rgb(11, 15, 25)", colorScheme === "dark", background);
    await drawn(page, "up");
    await accessible(page, name);
    await shot(name);
    await close();
  }
});

test("a chosen theme is stored for the next visit", async () => {
  const { page, close } = await open("/chart/BTC%2FUSD");
  await shown(page);
  await page.getByRole("button", { name: "Colours: as the system" }).click();
  await page.getByRole("button", { name: "Colours: light" }).click();
  await page.reload();
  await shown(page);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(11, 15, 25)");
  await close();
});

test("unknown, never quoted, loading and empty have states of their own", async () => {
  const unknown = await open("/chart/nope");
  await state(unknown.page, "unknown");
  assert.equal(await text(unknown.page, "#veil-title"), "No such instrument");
  await accessible(unknown.page, "unknown");
  await unknown.shot("unknown");
  unknown.errors.splice(0, unknown.errors.length, ...unknown.errors.filter((error) => !/404/.test(error)));
  await unknown.close();

  const quiet = await open("/chart/QUIET");
  await quiet.page.waitForSelector("#stage[data-state=never]");
  assert.equal(await text(quiet.page, "#veil-title"), "Waiting for the first quote");
  await accessible(quiet.page, "never");
  await quiet.shot("never");
  server.quote("QUIET", 12.5);
  await shown(quiet.page);
  await until(quiet.page, "#price", "12.50");
  await quiet.close();

  const fresh = await Server.start();
  const empty = await open("/chart", { site: fresh });
  await empty.page.waitForSelector("#stage[data-state=empty]");
  await accessible(empty.page, "empty");
  await empty.shot("empty");
  fresh.quote("FIRST", 3);
  await shown(empty.page);
  assert.equal(await text(empty.page, "#name"), "FIRST");
  await empty.close();
  await fresh.stop();
});

test("every response of the page has its policy, and the library has the recorded checksum", async () => {
  const recorded = readFileSync(new URL("../../http/page/vendor/SHA256SUMS", import.meta.url), "utf8");
  for (const path of ["/chart", "/chart/x", "/assets/main.js", "/assets/lightweight-charts-5.2.1.mjs"]) {
    const answer = await fetch(server.url + path);
    assert.equal(answer.status, 200);
    const policy = answer.headers.get("content-security-policy");
    assert.match(policy, /^default-src 'none';/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
    const again = await fetch(server.url + path, { headers: { "if-none-match": answer.headers.get("etag") } });
    assert.equal(again.status, 304);
    if (path.endsWith(".mjs")) {
      const digest = Buffer.from(await crypto.subtle.digest("SHA-256", await answer.arrayBuffer())).toString("hex");
      assert.ok(recorded.includes(`${digest}  lightweight-charts-5.2.1.mjs`));
    }
  }
  assert.equal((await fetch(`${server.url}/assets/nothing.js`)).status, 404);
});

test("the example page draws the stream from another origin", async () => {
  assert.ok(readFileSync(EXAMPLE, "utf8").split("\n").length <= 40);
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(`${EXAMPLE}?server=${encodeURIComponent(server.url)}&id=EURUSD`);
  await page.waitForSelector("#chart canvas");
  await page.evaluate(() => performance.getEntriesByType("resource").length);
  // An instrument that the feed does not quote.
  server.quote("EURUSD", 108);
  server.quote("EURUSD", 107, Date.now() / 1000 - 300);
  await server.knows("EURUSD", 108);
  // The default green and red of the library.
  await page.waitForFunction(() => {
    const found = { "38,166,154": 0, "239,83,80": 0 };
    for (const canvas of document.querySelectorAll("#chart canvas")) {
      if (canvas.width === 0 || canvas.height === 0) continue;
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) {
        const colour = `${data[at]},${data[at + 1]},${data[at + 2]}`;
        if (colour in found) found[colour]++;
      }
    }
    return Object.values(found).some((pixels) => pixels > 20);
  });
  await page.screenshot({ path: `${SHOTS}example.png` });
  assert.deepEqual(errors, []);
  await page.close();
});
