"""A recording of the messages of two partners, and a check of the server's candles against a simple model."""
import asyncio
import collections
import json
import struct
import time
from dataclasses import dataclass

# The most by which the server and this client can differ about the arrival time of a quote, in seconds. Usually both read a
# quote within milliseconds. If a slow machine delays the server for longer, the server reports a gap.
EDGE = 1.5


async def frames(port, path):
    """Yields the messages of a WebSocket on this machine until it ends. The partner sends only whole text frames of less
    than 64 KiB."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        while True:
            head, length = await reader.readexactly(2)
            assert length < 127, f"a frame of length code {length}"
            if length == 126:
                length, = struct.unpack(">H", await reader.readexactly(2))
            payload = await reader.readexactly(length)
            if head == 0x81:
                yield json.loads(payload)
    finally:
        writer.close()


class Recording:
    """The messages of one partner, with their arrival times."""

    def __init__(self, port):
        self.port, self.listed, self.quotes = port, set(), collections.defaultdict(list)

    async def record(self, path):
        """Records the messages at `path` forever. Reconnects to a partner that was killed."""
        while True:
            try:
                async for message in frames(self.port, path):
                    self.add(message)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    def add(self, message):
        isin = message["data"]["isin"]
        if message["type"] == "ADD":
            self.listed.add(isin)
        elif message["type"] == "QUOTE":
            self.quotes[isin].append((time.time(), message["data"]["price"]))

    def between(self, isin, start, end):
        return [quote for quote in self.quotes[isin] if start <= quote[0] < end]


@dataclass
class Segment:
    """A period in which the server read this partner: surely from `start` to `end`, and possibly until `latest_end`."""
    recording: Recording
    start: float
    end: float
    latest_end: float


def candle_error(isin, candle, minute, segments):
    """Returns what is wrong with the candle of the minute that starts at `minute`, or None."""
    overlapping = [segment for segment in segments if segment.start < minute + 60 + EDGE and segment.latest_end > minute - EDGE]
    served = [candle[name] for name in ("openPrice", "highPrice", "lowPrice", "closePrice", "quotes")] if candle else None
    if len(overlapping) == 1 and overlapping[0].start < minute - EDGE and overlapping[0].end > minute + 60 + EDGE:
        error = exact_error(served, overlapping[0].recording.between(isin, minute - EDGE, minute + 60 + EDGE), minute)
    else:
        error = bounds_error(served, *bounds(isin, minute, overlapping))
    return f"{isin}, the minute {minute}: {served} {error}" if error else None


def exact_error(served, recorded, minute):
    """Returns an error unless `served` is the candle of consecutive recorded quotes, whose first and last one are near the
    start and the end of the minute."""
    if not recorded or served is None:
        return bounds_error(served, recorded, [])
    for first, (at, _) in enumerate(recorded):
        run = [price for _, price in recorded[first:first + served[4]]]
        rest = recorded[first + served[4]:]
        if at > minute + EDGE or len(run) < served[4] or not run:
            break
        is_whole = recorded[first + served[4] - 1][0] >= minute + 60 - EDGE or rest and rest[0][0] >= minute + 60 - EDGE
        if is_whole and served[:4] == [run[0], max(run), min(run), run[-1]]:
            return None
    return f"is not a candle of the {len(recorded)} recorded quotes"


def bounds(isin, minute, segments):
    """Returns the quotes that the minute contains for certain, and the quotes near the edges of the segments, which it can
    contain."""
    certain, possible = [], []
    for segment in segments:
        start, end = max(segment.start, minute) + EDGE, min(segment.end, minute + 60) - EDGE
        latest = min(segment.latest_end, minute + 60) + EDGE
        certain += segment.recording.between(isin, start, end)
        possible += segment.recording.between(isin, max(segment.start, minute) - EDGE, min(start, latest))
        possible += segment.recording.between(isin, max(start, end), latest)
    return sorted(certain), sorted(possible)


def bounds_error(served, certain, possible):
    """Returns an error unless `served` can be the candle of all `certain` quotes and some of the `possible` ones."""
    if served is None:
        return "is missing" if certain else None
    opened, high, low, closed, count = served
    if not len(certain) <= count <= len(certain) + len(possible):
        return f"does not have {len(certain)} to {len(certain) + len(possible)} quotes"
    if count == 0:
        return None if opened == high == low == closed else "is not a filler"
    both = sorted(certain + possible)
    if certain:
        is_open = opened in [price for at, price in both if at <= certain[0][0]]
        is_close = closed in [price for at, price in both if at >= certain[-1][0]]
        if not is_open or not is_close:
            return "opens or closes with a quote that is not its first or last"
        if high < max(price for _, price in certain) or low > min(price for _, price in certain):
            return "lacks its highest or lowest quote"
    if not {opened, high, low, closed} <= {price for _, price in both}:
        return "has a price that no quote has"
    return None
