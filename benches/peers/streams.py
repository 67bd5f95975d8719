"""The peers that take one trade after another: nautilus_trader, Redis and ccxt."""

import csv
import os
import shutil
import socket
import subprocess
import time

MINUTE_MS = 60_000


def trades(data, given):
    """Yields time in milliseconds, price, size, number and id of each trade, prices and sizes as text."""
    with open(data / f"{given}.csv", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for millis, price, size, seq, name in rows:
            yield int(millis), price, size, seq, name


def ccxt(data, given, _):
    import ccxt

    exchange = ccxt.Exchange()
    known = [
        {"timestamp": millis, "price": float(price), "amount": float(size), "symbol": name}
        for millis, price, size, _, name in trades(data, given)
    ]

    def run():
        # The function knows one series: trades of several are split by symbol first, as its user has to.
        if given == "real":
            return {known[0]["symbol"]: exchange.build_ohlcvc(known)}
        by_symbol = {}
        for trade in known:
            by_symbol.setdefault(trade["symbol"], []).append(trade)
        return {name: exchange.build_ohlcvc(trades) for name, trades in by_symbol.items()}

    def candles(made):
        return ((name, row[0] // MINUTE_MS, *row[1:]) for name, rows in made.items() for row in rows)

    return lambda way: ({"memory": run}[way], candles)


def nautilus(data, given, _):
    from nautilus_trader.common.component import TestClock
    from nautilus_trader.data.aggregation import TimeBarAggregator
    from nautilus_trader.model.data import BarType, TradeTick
    from nautilus_trader.model.enums import AggressorSide
    from nautilus_trader.model.identifiers import InstrumentId, TradeId

    digits = {"real": (1, 0), "many": (4, 4)}[given]
    ids, ticks = {}, []
    for millis, price, size, seq, name in trades(data, given):
        place = ids.setdefault(name, len(ids))
        nanos = millis * 1_000_000
        price, size = exact(price, digits[0], "Price"), exact(size, digits[1], "Quantity")
        instrument = InstrumentId.from_str(f"{name}.X")
        ticks.append((place, TradeTick(instrument, price, size, AggressorSide.BUYER, TradeId(seq), nanos, nanos)))
    kinds = [BarType.from_str(f"{name}.X-1-MINUTE-LAST-INTERNAL") for name in ids]
    instruments = [instrument_of(name, *digits) for name in ids]
    minute = MINUTE_MS * 1_000_000

    def fresh():
        """One aggregator and one clock for each instrument: a clock takes minutes to set 50,000 timers."""
        bars, clocks, aggregators = [], [TestClock() for _ in kinds], []
        for instrument, kind, clock in zip(instruments, kinds, clocks):
            clock.set_time(ticks[0][1].ts_event // minute * minute)
            aggregators.append(
                TimeBarAggregator(instrument, kind, bars.append, clock, build_with_no_updates=False)
            )
        return bars, clocks, aggregators

    def advance(clocks, now):
        for clock in clocks:
            for event in clock.advance_time(now):
                event.handle()

    def peer(way):
        if way != "stream":
            raise KeyError(way)
        # Making the aggregators is not part of the time: streams run for long.
        bars, clocks, aggregators = fresh()

        def run():
            due = clocks[0].timestamp_ns() + minute
            for place, tick in ticks:
                # A backtest advances its clock for each tick; once a minute makes the same bars in less time.
                now = tick.ts_event
                if now >= due:
                    advance(clocks, now)
                    due = now // minute * minute + minute
                aggregators[place].handle_trade_tick(tick)
            return bars

        def candles(bars):
            advance(clocks, ticks[-1][1].ts_event // minute * minute + minute)
            for bar in bars:
                name = bar.bar_type.instrument_id.symbol.value
                prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
                # By default the time of a bar is its end. The start of a right-open interval is wrong after an empty interval.
                yield (name, bar.ts_event // minute - 1, *(float(str(value)) for value in prices), "")

        return run, candles

    return peer


def exact(text, digits, kind):
    from nautilus_trader.model import objects

    return getattr(objects, kind).from_str(f"{float(text):.{digits}f}")


def instrument_of(name, price_digits, size_digits):
    from nautilus_trader.model.currencies import BTC, USD
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import CurrencyPair

    return CurrencyPair(
        instrument_id=InstrumentId.from_str(f"{name}.X"), raw_symbol=Symbol(name), base_currency=BTC, quote_currency=USD,
        price_precision=price_digits, size_precision=size_digits,
        price_increment=exact("1" if price_digits == 0 else str(10**-price_digits), price_digits, "Price"),
        size_increment=exact("1" if size_digits == 0 else str(10**-size_digits), size_digits, "Quantity"),
        ts_event=0, ts_init=0,
    )


# One candle is one hash. Prices stay the text that came, so that no digit is lost.
SCRIPT = """
local key = KEYS[1]
local known = redis.call('HMGET', key, 'h', 'l')
if not known[1] then
    redis.call('HSET', key, 'o', ARGV[1], 'h', ARGV[1], 'l', ARGV[1], 'c', ARGV[1], 'v', ARGV[2], 'n', 1)
    return 1
end
local price = tonumber(ARGV[1])
if price > tonumber(known[1]) then redis.call('HSET', key, 'h', ARGV[1]) end
if price < tonumber(known[2]) then redis.call('HSET', key, 'l', ARGV[1]) end
redis.call('HSET', key, 'c', ARGV[1])
redis.call('HINCRBYFLOAT', key, 'v', ARGV[2])
redis.call('HINCRBY', key, 'n', 1)
return 1
"""
PIPELINE = 1_000


def redis(data, given, peers):
    program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if not program:
        raise RuntimeError("redis-server is missing (apt-get install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(peers)],
        stdout=subprocess.DEVNULL,
    )
    import atexit

    atexit.register(server.terminate)
    link = connect(port)
    ask(link, "SCRIPT", "LOAD", SCRIPT)
    import hashlib

    digest = hashlib.sha1(SCRIPT.encode()).hexdigest()
    # Requests are encoded beforehand: the time is that of Redis, not of a client library.
    requests, keys = [], {}
    for millis, price, size, _, name in trades(data, given):
        key = f"{name}:{millis // MINUTE_MS}"
        keys[key] = None
        requests.append(encoded("EVALSHA", digest, "1", key, price, size))
    pipelines = [b"".join(requests[at : at + PIPELINE]) for at in range(0, len(requests), PIPELINE)]
    lengths = [min(PIPELINE, len(requests) - at) for at in range(0, len(requests), PIPELINE)]
    del requests

    def run():
        for pipeline, length in zip(pipelines, lengths):
            link.sendall(pipeline)
            missing = 4 * length
            while missing > 0:
                answer = link.recv(min(missing, 1 << 16))
                if not answer or answer.startswith(b"-"):
                    raise RuntimeError(f"redis-server answered {answer[:80]!r}")
                missing -= len(answer)

    def candles(_):
        for key in keys:
            name, minute = key.rsplit(":", 1)
            yield (name, minute, *hash_of(link, key))

    def peer(way):
        ask(link, "FLUSHALL")
        return {"stream": run}[way], candles

    def ran():
        """The time for which the server ran. The client's own is not counted."""
        with open(f"/proc/{server.pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e9

    if os.environ.get("CANDLE_BENCH_CLOCK") == "processor":
        peer.clock = ran
    return peer


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise RuntimeError("redis-server does not listen")


def encoded(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
    return b"".join(parts)


def ask(link, *words):
    link.sendall(encoded(*words))
    return link.recv(1 << 16)


def hash_of(link, key):
    """The prices, the volume and the count of a candle."""
    answer = ask(link, "HMGET", key, "o", "h", "l", "c", "v", "n")
    return [part.split(b"\r\n")[1].decode() for part in answer.split(b"$")[1:]]


PEERS = {"nautilus": nautilus, "redis": redis, "ccxt": ccxt}
