// The live connection: server-sent events, and what to do when they stop.

const EVENTS = ["snapshot", "candle", "final", "revised", "status", "delisted", "feed"];
/** The server breaks its own silence every 15 s, which a page can't see; after this it asks whether anybody is there. */
const SILENCE = 30_000;
const PROBE_TIME = 5_000;
const FIRST_WAIT = 2_000;
const LONGEST_WAIT = 15_000;

export const pathOf = (id) => `/instruments/${encodeURIComponent(id)}`;

/**
 * Follows one instrument until `close()`. `onEvent(name, data)` gets each event; `onState(state, detail)` gets `open`,
 * `lost`, `full` or `unknown`.
 */
export class Stream {
  #id; #onEvent; #onState; #source = null; #timer = 0; #silence = 0; #wait = FIRST_WAIT; #closed = false;

  constructor(id, onEvent, onState) {
    this.#id = id;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.retry();
  }

  /** Connects now. */
  retry() {
    if (this.#closed) return;
    this.#drop();
    const source = new EventSource(`${pathOf(this.#id)}/stream`);
    this.#source = source;
    source.onopen = () => {
      this.#wait = FIRST_WAIT;
      this.#onState("open");
      this.#heard();
    };
    source.onerror = () => this.#failed(source);
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        this.#heard();
        this.#onEvent(name, JSON.parse(event.data));
      });
    }
  }

  close() {
    this.#closed = true;
    this.#drop();
  }

  #drop() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
  }

  #heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#probe(), SILENCE);
  }

  async #probe() {
    const status = await this.#ask("/livez");
    if (this.#closed) return;
    if (status === 200) this.#heard();
    else this.#failed(this.#source);
  }

  /** The browser would connect again by itself after some failures and not after others; we always do, and less often. */
  async #failed(source) {
    if (this.#closed || source !== this.#source) return;
    this.#drop();
    this.#onState("lost");
    const status = await this.#ask(pathOf(this.#id));
    if (this.#closed || this.#source !== null) return;
    if (status === 404) this.#onState("unknown");
    if (status === 200) this.#onState(this.#wait > FIRST_WAIT ? "full" : "lost");
    this.#timer = setTimeout(() => this.retry(), this.#wait);
    this.#wait = Math.min(LONGEST_WAIT, this.#wait * 1.6);
  }

  /** The status of a HEAD, which counts no view; 0 where nobody answers. */
  async #ask(path) {
    try {
      return (await fetch(path, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PROBE_TIME) })).status;
    } catch {
      return 0;
    }
  }
}
