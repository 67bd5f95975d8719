// Shows the state of the connection and the feed: always in a pill, and in a banner if prices are delayed.

import { ago } from "./format.js";

const WORDS = {
  loading: ["Connecting", ""],
  live: ["Live", ""],
  quiet: ["Waiting", ""],
  stale: ["Stale", "No new prices. What you see is the last that is known."],
  feed: ["Feed down", "The price feed is interrupted. What you see may be behind."],
  lost: ["Reconnecting", "The connection is lost. Reconnecting…"],
  gone: ["Offline", "The server doesn't answer. Trying again every few seconds."],
  full: ["Delayed", "The server has no room for another live chart. Trying again."],
  unknown: ["Not listed", ""],
};
const RETRIED = ["lost", "gone", "full"];

const find = (id) => document.getElementById(id);

/** Shows one state at a time, with the age of the last price. */
export class Banner {
  #state = "loading"; #since = 0;

  constructor(onRetry) {
    find("banner-retry").addEventListener("click", onRetry);
    setInterval(() => this.#tick(), 1000);
  }

  get state() {
    return this.#state;
  }

  /** Shows `state`. `since` is the `performance.now()` at which the last price arrived. */
  show(state, since) {
    this.#since = since;
    if (state !== this.#state) {
      this.#state = state;
      const [short, long] = WORDS[state];
      const pill = find("pill");
      pill.dataset.state = state;
      pill.querySelector("b").textContent = short;
      const banner = find("banner");
      banner.hidden = long === "";
      banner.dataset.state = state;
      find("banner-what").textContent = long;
      find("banner-retry").hidden = !RETRIED.includes(state);
      document.documentElement.dataset.link = state;
    }
    this.#tick();
  }

  #tick() {
    const age = Math.max(0, (performance.now() - this.#since) / 1000);
    const shown = !find("banner").hidden && age >= 1;
    find("banner-age").textContent = shown ? `Last price ${ago(age)}.` : "";
  }
}
