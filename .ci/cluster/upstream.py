"""A price feed that records every quote it sends, and the candles that must result."""
import asyncio
import base64
import collections
import hashlib
import random
import struct
import time

INSTRUMENTS, BATCH, INTERVAL = 200, 200, 0.01
RATE = BATCH / INTERVAL


class Upstream:
    """A feed whose quotes have these optional `fields`. Every connection receives every quote."""

    def __init__(self, seed, fields=("timestamp", "seq")):
        self.fields = fields
        self.random, self.seq, self.micros, self.prefix = random.Random(seed), 0, 0, ""
        self.connections, self.minutes = set(), collections.defaultdict(dict)
        self.seconds_before, self.running_since = 0.0, None
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
                    text = bytes(byte ^ body[index % 4] for index, byte in enumerate(body[4:]))
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
            index = self.random.randrange(INSTRUMENTS)
            self.seq += 1
            self.prices[index] = max(1.0, self.prices[index] + self.random.choice((-0.25, 0.0, 0.25)))
            # If the machine's clock is set back, quotes must still be in order.
            micros = self.micros = max(self.micros, time.time_ns() // 1000)
            self.add_expected(f"{self.prefix}{index}", micros, self.prices[index])
            values = {"timestamp": f"{micros // 10**6}.{micros % 10**6:06}", "seq": self.seq}
            quotes.append(f'{{"id":"{self.prefix}{index}","price":{self.prices[index]}' + "".join(f',"{field}":{values[field]}' for field in self.fields) + "}")
        text = ("[" + ",".join(quotes) + "]").encode()
        head = bytes([0x81, 126]) + struct.pack(">H", len(text)) if len(text) < 65536 else bytes([0x81, 127]) + struct.pack(">Q", len(text))
        for writer in list(self.connections):
            if not writer.is_closing():
                writer.write(head + text)

    async def send_forever(self):
        due = time.monotonic()
        while True:
            self.send(BATCH)
            due += INTERVAL
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # A slow machine sends fewer quotes, instead of sending them ever later.
            due = max(due, time.monotonic() - 0.1)

    def run(self):
        if self.task and not self.task.done():
            return
        self.running_since = time.monotonic()
        self.task = asyncio.ensure_future(self.send_forever())

    async def pause(self):
        self.seconds_before, self.running_since = self.running_seconds, None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def running_seconds(self):
        """The number of seconds for which the feed has sent quotes."""
        return self.seconds_before + (0.0 if self.running_since is None else time.monotonic() - self.running_since)

    def add_expected(self, id, micros, price):
        """Adds a quote to the expected candles. Quotes are sent in the order of their timestamps and sequence numbers."""
        minutes, minute = self.minutes[id], micros // 60_000_000 * 60
        first, high, low, _, count = minutes.get(minute, (price, price, price, price, 0))
        minutes[minute] = (first, max(high, price), min(low, price), price, count + 1)

    @property
    def first_id(self):
        """The id of an instrument that has quotes in every second."""
        return f"{self.prefix}0"

    def switch_instruments(self, prefix):
        """Continues with other instruments, and forgets the previous ones."""
        self.prefix = prefix
        self.minutes.clear()

    def candles(self, id):
        """Returns the expected candles of an instrument by minute: open, high, low, close and the number of quotes."""
        return {minute: list(candle) for minute, candle in self.minutes[id].items()}
