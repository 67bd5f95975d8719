// Receives the server-sent events of one instrument, and reconnects after failures.

const EVENTS = ["snapshot", "candle", "final", "revised", "status", "delisted", "feed"];
/** Time without an event after which the page probes the server (ms). Scripts do not see the comments of a stream. */
const SILENCE = 30_000;
const PROBE_TIMEOUT = 5_000;
const MIN_WAIT = 2_000;
const MAX_WAIT = 15_000;

export const pathOf = (id) => `/instruments/${encodeURIComponent(id)}`;

/**
 * Receives the events of one instrument until `close()`. Calls `onEvent(name, data)` for each event. Calls
 * `onState(state)` for each change of the connection, with `open`, `lost`, `full` or `unknown`.
 */
export class Stream {
  #id; #onEvent; #onState; #source = null; #timer = 0; #silence = 0; #wait = MIN_WAIT; #closed = false;

  constructor(id, onEvent, onState) {
    this.#id = id;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.retry();
  }

  /** Closes the current connection, if any, and connects. */
  retry() {
    if (this.#closed) return;
    this.#drop();
    const source = new EventSource(`${pathOf(this.#id)}/stream`);
    this.#source = source;
    source.onopen = () => {
      this.#wait = MIN_WAIT;
      this.#onState("open");
      this.#restartTimeout();
    };
    source.onerror = () => this.#failed(source);
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        this.#restartTimeout();
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

  #restartTimeout() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#probe(), SILENCE);
  }

  async #probe() {
    const status = await this.#status("/livez");
    if (this.#closed) return;
    if (status === 200) this.#restartTimeout();
    else this.#failed(this.#source);
  }

  /** Reconnects after a growing delay of 2 s to 15 s. The browser itself reconnects only after some failures. */
  async #failed(source) {
    if (this.#closed || source !== this.#source) return;
    this.#drop();
    this.#onState("lost");
    const status = await this.#status(pathOf(this.#id));
    if (this.#closed || this.#source !== null) return;
    if (status === 404) this.#onState("unknown");
    if (status === 200) this.#onState(this.#wait > MIN_WAIT ? "full" : "lost");
    this.#timer = setTimeout(() => this.retry(), this.#wait);
    this.#wait = Math.min(MAX_WAIT, this.#wait * 1.6);
  }

  /** Returns the status of a HEAD request, which counts no view, or 0 without a response. */
  async #status(path) {
    try {
      return (await fetch(path, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PROBE_TIMEOUT) })).status;
    } catch {
      return 0;
    }
  }
}
