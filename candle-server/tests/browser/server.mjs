// A server for each test. The test writes its quotes.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const BINARY = process.env.CANDLE_SERVER ?? new URL("../../../target/debug/candle-server", import.meta.url).pathname;
const MINUTE = 60;

/** The processes that a failed test left running. They would keep the test process alive. */
const running = new Set();

export async function stopAll() {
  for (const one of running) await one.stop("SIGKILL");
}

export class Server {
  static async start(listen = "127.0.0.1:0", feed = "stdin:") {
    const server = new Server();
    server.process = spawn(BINARY, ["--listen", listen, "--feed", feed, "--clock", "wall"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    running.add(server);
    const ended = once(server.process, "exit").then(([code]) => { throw new Error(`the server ended with ${code}`); });
    const [line] = await Promise.race([once(createInterface({ input: server.process.stdout }), "line"), ended]);
    ended.catch(() => {});
    server.url = line.match(/http:\S+/)[0];
    return server;
  }

  feed(...messages) {
    this.process.stdin.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
  }

  list(id, description) {
    this.feed({ type: "ADD", data: { isin: id, description } });
  }

  quote(id, price, timestamp = Date.now() / 1000, size = 100) {
    this.feed({ id, price, timestamp, size });
  }

  /** Sends quotes for the last 29 minutes, a wave without every tenth minute, and one quote for now. */
  past(id, price = 100) {
    const now = Date.now() / 1000;
    const minute = Math.floor(now / MINUTE) * MINUTE;
    for (let back = 29; back > 0; back--) {
      if (back % 10 === 5) continue;
      const from = price * (1 + Math.sin(back / 4) / 100);
      for (const [second, way] of [[1, 0], [20, 0.4], [40, -0.3], [59, Math.cos(back) / 2]]) {
        this.quote(id, round(from * (1 + way / 100)), minute - back * MINUTE + second, 50 + back * 7 + second);
      }
    }
    this.quote(id, price, now);
  }

  async get(path) {
    return (await fetch(this.url + path)).json();
  }

  /** Waits until the server has applied the quotes, which takes milliseconds. */
  async knows(id, price) {
    for (const end = Date.now() + 30_000; ; await new Promise((next) => setTimeout(next, 10))) {
      const { candles } = await this.get(`/instruments?prefix=${encodeURIComponent(id)}`).then(
        ({ instruments }) => ({ candles: instruments.filter((found) => found.id === id) }),
      );
      if (candles.length > 0 && (price === undefined || candles[0].lastPrice === price)) return;
      if (Date.now() > end) throw new Error(`${id} at ${price} is not known: ${JSON.stringify(candles)}`);
    }
  }

  async stop(signal = "SIGTERM") {
    running.delete(this);
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await once(this.process, "exit");
  }
}

/** A price stream over a WebSocket that can be stopped and restarted. It only sends text frames. */
export class Feed {
  #sockets = new Set();

  static async start(port = 0) {
    const feed = new Feed();
    feed.server = createServer();
    feed.server.on("upgrade", (request, socket) => {
      const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
      const accept = createHash("sha1").update(key).digest("base64");
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
      socket.on("error", () => {});
      socket.resume();
      feed.#sockets.add(socket);
    });
    feed.server.listen(port, "127.0.0.1");
    await once(feed.server, "listening");
    feed.port = feed.server.address().port;
    running.add(feed);
    return feed;
  }

  send(message) {
    const text = Buffer.from(JSON.stringify(message));
    if (text.length > 125) throw new RangeError("longer messages need another frame header");
    for (const socket of this.#sockets) socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
  }

  async stop() {
    running.delete(this);
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}

const round = (price) => Math.round(price * 100) / 100;
