"""A price feed whose every quote is noted, and what candles must come of them."""
import asyncio
import base64
import collections
import hashlib
import random
import struct
import time

INSTRUMENTS, TOGETHER, EVERY = 200, 200, 0.01
RATE = TOGETHER / EVERY


class Upstream:
    """A feed that `tells` sequence numbers and times of its own: every connection gets every quote, and all are noted."""

    def __init__(self, seed, tells=("timestamp", "seq")):
        self.tells = tells
        self.random, self.seq, self.micros, self.prefix = random.Random(seed), 0, 0, ""
        self.connections, self.minutes = set(), collections.defaultdict(dict)
        self.ran_before, self.runs_since = 0.0, None
        self.prices = [100.0] * INSTRUMENTS

    async def start(self):
        self.server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.task = None
        return self

    async def connection(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.connections.add(writer)
        try:
            while True:
                first, second = await reader.readexactly(2)
                length = second & 127
                if length == 126:
                    length = struct.unpack(">H", await reader.readexactly(2))[0]
                body = await reader.readexactly(4 + length)
                if first & 15 == 9:
                    text = bytes(byte ^ body[place % 4] for place, byte in enumerate(body[4:]))
                    writer.write(bytes([0x8A, len(text)]) + text)
                elif first & 15 == 8:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        self.connections.discard(writer)
        writer.close()

    def send(self, count):
        quotes = []
        for _ in range(count):
            place = self.random.randrange(INSTRUMENTS)
            self.seq += 1
            self.prices[place] = max(1.0, self.prices[place] + self.random.choice((-0.25, 0.0, 0.25)))
            # The machine's clock may be set back, and then quotes would be out of order.
            micros = self.micros = max(self.micros, time.time_ns() // 1000)
            self.note(f"{self.prefix}{place}", micros, self.prices[place])
            told = {"timestamp": f"{micros // 10**6}.{micros % 10**6:06}", "seq": self.seq}
            quotes.append(f'{{"id":"{self.prefix}{place}","price":{self.prices[place]}' + "".join(f',"{field}":{told[field]}' for field in self.tells) + "}")
        text = ("[" + ",".join(quotes) + "]").encode()
        head = bytes([0x81, 126]) + struct.pack(">H", len(text)) if len(text) < 65536 else bytes([0x81, 127]) + struct.pack(">Q", len(text))
        for writer in list(self.connections):
            if not writer.is_closing():
                writer.write(head + text)

    async def flow(self):
        due = time.monotonic()
        while True:
            self.send(TOGETHER)
            due += EVERY
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # A slow machine sends less, not later and later.
            due = max(due, time.monotonic() - 0.1)

    def run(self):
        if self.task and not self.task.done():
            return
        self.runs_since = time.monotonic()
        self.task = asyncio.ensure_future(self.flow())

    async def pause(self):
        self.ran_before, self.runs_since = self.ran, None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def ran(self):
        """For how many seconds it has sent quotes so far."""
        return self.ran_before + (0.0 if self.runs_since is None else time.monotonic() - self.runs_since)

    def note(self, name, micros, price):
        """Folds a quote into what is expected. Quotes are sent in the order of their times and numbers."""
        minutes, minute = self.minutes[name], micros // 60_000_000 * 60
        first, high, low, _, count = minutes.get(minute, (price, price, price, price, 0))
        minutes[minute] = (first, max(high, price), min(low, price), price, count + 1)

    @property
    def first(self):
        """The name of an instrument that has quotes in every second."""
        return f"{self.prefix}0"

    def rename(self, prefix):
        """Goes on with other instruments, and forgets those it had."""
        self.prefix = prefix
        self.minutes.clear()

    def candles(self, name):
        """What an instrument's candles must be, by minute: open, high, low, close and the number of quotes."""
        return {minute: list(candle) for minute, candle in self.minutes[name].items()}
