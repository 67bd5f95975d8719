"""Times candle and its peers in turn, and prints the tables. Started by `run`.

Each contender is a process that answers `check WAY PATH` and `time WAY` (see worker.py and worker/main.rs). A contender is
timed only if its candles are those of candle: prices and counts equal, volume to a relative 1e-9. Every second round runs
in reverse order. Figures are medians over rounds. Ratios are medians of the ratios of rounds, with their quartiles.
With CANDLE_BENCH_CLOCK=processor, a time is the one for which the contender's threads ran.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A contender whose pass takes longer than so many seconds runs in the first SLOW_ROUNDS rounds only.
SLOW_SECONDS, SLOW_ROUNDS = 1.5, 3

options = argparse.ArgumentParser()
options.add_argument("--candle", required=True)
options.add_argument("--peers", required=True, type=Path)
options.add_argument("--rounds", type=int, default=9)
options.add_argument("--input", choices=["real", "many"], action="append")
options = options.parse_args()

# Label, process, way. The first ones of a section are the bases of the ratios.
STREAMING = [
    ("candle, by id, one at a time", "candle", "id"),
    ("candle, by id, batches of 4,096", "candle", "batch-4096"),
    ("candle, by handle, one at a time", "candle", "handle"),
    ("candle, by handle, batches of 4,096", "candle", "handles-4096"),
    ("candle, `Ring`, one series", "candle", "ring"),
    ("trade_aggregation (in a `DashMap` for many)", "candle", "trade_aggregation"),
    ("`DashMap`, our layout, foldhash", "candle", "layout"),
    ("nautilus_trader `TimeBarAggregator`", "nautilus", "stream"),
    ("Redis, Lua script, pipelines of 1,000", "redis", "stream"),
]
MEMORY = [
    ("candle, batches of 4,096, candles stay in the store", "candle", "batch-4096"),
    ("candle, batches of 4,096, all candles read out", "candle", "memory"),
    ("trade_aggregation `aggregate_all_trades`", "candle", "trade_aggregation-memory"),
    ("DuckDB, 1 thread, first/last", "duckdb", "memory-1"),
    ("DuckDB, all cores, arg_min/arg_max", "duckdb", "memory-all"),
    ("chDB, 1 thread, any/anyLast", "chdb", "memory-1"),
    ("chDB, all cores, argMin/argMax", "chdb", "memory-all"),
    ("polars, 1 thread", "polars-1", "memory"),
    ("polars, all cores", "polars", "memory"),
    ("pandas", "pandas", "memory"),
    ("ccxt `build_ohlcvc`", "ccxt", "memory"),
]


def of_file(form):
    return [
        ("candle, 1 thread", "candle", form),
        *([("trade_aggregation `load_trades_from_csv`", "candle", "trade_aggregation-csv")] if form == "csv" else []),
        ("DuckDB, 1 thread", "duckdb", f"{form}-1"),
        ("DuckDB, all cores", "duckdb", f"{form}-all"),
        ("chDB, 1 thread", "chdb", f"{form}-1"),
        ("chDB, all cores", "chdb", f"{form}-all"),
        ("polars, 1 thread", "polars-1", form),
        ("polars, all cores", "polars", form),
        ("pandas", "pandas", form),
    ]


# Title, contenders, number of bases.
SECTIONS = [
    ("streaming, in memory", STREAMING, 2),
    ("offline, in memory", MEMORY, 2),
    ("CSV file to candles", of_file("csv"), 1),
    ("ndjson file to candles", of_file("ndjson"), 1),
]


class Worker:
    """A process that holds one input and answers commands."""

    def __init__(self, name, given):
        data = options.peers / "data"
        if name == "candle":
            command = [options.candle, "work", data, given]
        else:
            venv = options.peers / ("venv-nautilus" if name == "nautilus" else "venv")
            command = [venv / "bin/python", HERE / "worker.py", name, data, given, options.peers]
        self.errors = options.peers / f"{name}-{given}.log"
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline().strip()
        return answer or f"ended: {(self.errors.read_text().strip().splitlines() or ['no message'])[-1]}"

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def read_candles(path):
    rows = {}
    for line in path.read_text().splitlines():
        name, minute, *prices, volume, count = line.split(",")
        rows[name, int(minute)] = ([float(price) for price in prices], float(volume), count)
    return rows


def difference(expected, found):
    """Returns the number of candles that differ. A peer that counts no trades leaves the count empty."""
    differ = len(expected.keys() ^ found.keys())
    for key in expected.keys() & found.keys():
        prices, volume, count = expected[key]
        their_prices, their_volume, their_count = found[key]
        same_volume = abs(their_volume - volume) <= 1e-9 * max(abs(volume), 1.0)
        differ += not (prices == their_prices and same_volume and their_count in ("", count))
    return differ


def checked(contenders, workers, expected):
    """Returns the contenders whose candles are right, and reports the others."""
    right = []
    path = options.peers / "candles.csv"
    for contender in contenders:
        label, name, way = contender
        path.unlink(missing_ok=True)
        answer = workers(name).ask(f"check {way} {path}")
        if answer == "none":
            continue
        if answer.startswith("unknown"):
            if name != "candle":
                print(f"| {label} | not measured: {answer} | | |")
            continue
        if answer != "ok":
            print(f"| {label} | not measured: {answer} | | |")
            continue
        differ = difference(expected, read_candles(path))
        if differ:
            print(f"| {label} | not timed: {differ} of {len(expected)} candles differ | | |")
        else:
            right.append(contender)
    return right


def timed(contenders, workers):
    """Returns the seconds of each contender by round."""
    seconds = {label: [] for label, _, _ in contenders}
    for number in range(options.rounds):
        for label, name, way in contenders if number % 2 == 0 else reversed(contenders):
            if number >= SLOW_ROUNDS and statistics.median(seconds[label]) > SLOW_SECONDS:
                continue
            seconds[label].append(float(workers(name).ask(f"time {way}")))
    return seconds


def ratio(ours, theirs):
    """The ratio by round: median, then quartiles."""
    ratios = sorted(b / a for a, b in zip(ours, theirs))
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"


def section(title, contenders, bases, workers, expected, trades):
    print(f"\n### {title}\n")
    names = [label for label, _, _ in contenders[:bases]]
    print("| | ns a trade | " + " | ".join(f"/ {name}" for name in names) + " |")
    print("|---|---|" + "---|" * bases)
    right = checked(contenders, workers, expected)
    seconds = timed(right, workers)
    for label, _, _ in right:
        figures = [ratio(seconds[base], seconds[label]) if base in seconds and base != label else "" for base in names]
        print(f"| {label} | {statistics.median(seconds[label]) / trades * 1e9:.1f} | {' | '.join(figures)} |", flush=True)


def main():
    for given in options.input or ["real", "many"]:
        started = {}

        def workers(name):
            if name not in started:
                started[name] = Worker(name, given)
            return started[name]

        reference = options.peers / f"{given}.candles.csv"
        answer = workers("candle").ask(f"check memory {reference}")
        if answer != "ok":
            sys.exit(f"candle did not write its candles: {answer}")
        expected = read_candles(reference)
        trades = sum(int(count) for _, _, count in expected.values())
        print(f"\n## {given}: {trades:,} trades, {len({name for name, _ in expected}):,} instruments, {len(expected):,} candles")
        for title, contenders, bases in SECTIONS:
            section(title, contenders, bases, workers, expected, trades)
        for worker in started.values():
            worker.end()


main()
