"""What the two partners say, heard by a client of its own, and the candles that the obvious program makes of it."""
import asyncio
import collections
import json
import struct
import time
from dataclasses import dataclass

# By how much the server and this client may differ about when a quote came: both read it within milliseconds, and a
# machine that builds something else besides lets either of them wait for a while.
EDGE = 0.5


async def frames(port, path):
    """The messages of a WebSocket of this machine, until it ends: whole text frames of under 64 KiB are all it sends."""
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


class Tape:
    """Whatever one partner says, with the time at which it was heard."""

    def __init__(self, port):
        self.port, self.listed, self.quotes = port, set(), collections.defaultdict(list)

    async def record(self, path):
        """Listens at `path` for good: a partner that is killed is listened to again once it is back."""
        while True:
            try:
                async for message in frames(self.port, path):
                    self.heard(message)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    def heard(self, message):
        isin = message["data"]["isin"]
        if message["type"] == "ADD":
            self.listed.add(isin)
        elif message["type"] == "QUOTE":
            self.quotes[isin].append((time.time(), message["data"]["price"]))

    def between(self, isin, begins, ends):
        return [quote for quote in self.quotes[isin] if begins <= quote[0] < ends]


@dataclass
class Piece:
    """A time in which the server read this partner: from `begins` to `ends`, and may have up to `over`."""
    tape: Tape
    begins: float
    ends: float
    over: float


def wrong(isin, candle, opens, pieces):
    """What is wrong with the candle of the minute that begins at `opens`, if anything."""
    here = [piece for piece in pieces if piece.begins < opens + 60 + EDGE and piece.over > opens - EDGE]
    told = [candle[name] for name in ("openPrice", "highPrice", "lowPrice", "closePrice", "quotes")] if candle else None
    if len(here) == 1 and here[0].begins < opens - EDGE and here[0].ends > opens + 60 + EDGE:
        fault = differs(told, here[0].tape.between(isin, opens - EDGE, opens + 60 + EDGE), opens)
    else:
        fault = exceeds(told, *bounds(isin, opens, here))
    return f"{isin}, the minute {opens}: {told} {fault}" if fault else None


def differs(told, heard, opens):
    """Whether no run of the quotes that were heard, from one about the minute's begin to one about its end, is `told`."""
    if not heard or told is None:
        return exceeds(told, heard, [])
    for first, (at, _) in enumerate(heard):
        run = [price for _, price in heard[first:first + told[4]]]
        rest = heard[first + told[4]:]
        if at > opens + EDGE or len(run) < told[4] or not run:
            break
        is_whole = heard[first + told[4] - 1][0] >= opens + 60 - EDGE or rest and rest[0][0] >= opens + 60 - EDGE
        if is_whole and told[:4] == [run[0], max(run), min(run), run[-1]]:
            return None
    return f"is no candle of the {len(heard)} quotes heard"


def bounds(isin, opens, pieces):
    """The quotes that the minute has for sure, and those about the edges of the pieces, which it may have."""
    sure, maybe = [], []
    for piece in pieces:
        begins, ends = max(piece.begins, opens) + EDGE, min(piece.ends, opens + 60) - EDGE
        latest = min(piece.over, opens + 60) + EDGE
        sure += piece.tape.between(isin, begins, ends)
        maybe += piece.tape.between(isin, max(piece.begins, opens) - EDGE, min(begins, latest))
        maybe += piece.tape.between(isin, max(begins, ends), latest)
    return sorted(sure), sorted(maybe)


def exceeds(told, sure, maybe):
    """How `told` is not made of all of `sure` and some of `maybe`, if so."""
    if told is None:
        return "is missing" if sure else None
    opened, high, low, closed, count = told
    if not len(sure) <= count <= len(sure) + len(maybe):
        return f"has not {len(sure)} to {len(sure) + len(maybe)} quotes"
    if count == 0:
        return None if opened == high == low == closed else "is no filler"
    both = sorted(sure + maybe)
    if sure:
        is_open = opened in [price for at, price in both if at <= sure[0][0]]
        is_close = closed in [price for at, price in both if at >= sure[-1][0]]
        if not is_open or not is_close:
            return "opens or closes by a quote that is not its first or last"
        if high < max(price for _, price in sure) or low > min(price for _, price in sure):
            return "lacks its highest or lowest quote"
    if not {opened, high, low, closed} <= {price for _, price in both}:
        return "has a price that nobody said"
    return None
