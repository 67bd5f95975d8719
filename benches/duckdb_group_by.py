#!/usr/bin/env python3
"""Compares DuckDB's offline GROUP BY with our batches on the same ticks, in alternation.

    pip install duckdb numpy
    cargo bench --bench offline --no-run && python3 benches/duckdb_group_by.py [instruments]

DuckDB has the whole table in memory before the measurement starts; it sorts and stores nothing. Our side gets the ids as
text and stores all candles. DuckDB's first and last use the order of rows, which is the order of time here. Both sides
generate their ticks by the same PRNG, seed and formulas (see common/prng.rs, common/feed.rs). A checksum of the
instruments confirms it.
"""
import glob, os, statistics, subprocess, sys, time

import duckdb
import numpy as np

TICKS, ROUNDS, SEED = 1 << 20, 15, 1
GAMMA = np.uint64(0x9E3779B97F4A7C15)


def splitmix(seed, first, count):
    z = np.uint64(seed) + np.arange(first + 1, first + count + 1, dtype=np.uint64) * GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def unit(numbers):
    return (numbers >> np.uint64(11)).astype(np.float64) / 2.0**53


instruments = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
chosen = ((splitmix(SEED, 0, TICKS) >> np.uint64(32)) * np.uint64(instruments) >> np.uint64(32)).astype(np.int64)
rest = splitmix(SEED, TICKS, 2 * TICKS)
mixed = [int(splitmix(n, 0, 1)[0] >> np.uint64(40)) for n in range(instruments)]
ids = np.array([f"{n >> 16:02X}{mixed[n]:06X}{n & 0xFFFF:04X}" for n in range(instruments)], dtype=object)

db = duckdb.connect()
frame = {
    "isin": ids[chosen],
    "minute": np.arange(TICKS, dtype=np.int64) * 500_000 // instruments // 60_000_000,
    "price": 100.0 + unit(rest[0::2]),
    "size": unit(rest[1::2]),
}
columns = frame
db.execute("CREATE TABLE ticks (isin VARCHAR, minute BIGINT, price DOUBLE, size DOUBLE)")
db.register("given", columns)
db.execute("INSERT INTO ticks SELECT * FROM given")
QUERY = """CREATE OR REPLACE TEMP TABLE candles AS
    SELECT isin, minute, first(price) AS open, max(price) AS high, min(price) AS low, last(price) AS close,
           sum(size) AS volume, count(*) AS count
    FROM ticks GROUP BY isin, minute"""

binary = max((p for p in glob.glob(os.path.join(os.path.dirname(__file__), "../target/release/deps/offline-*")) if not p.endswith(".d")), key=os.path.getmtime)
ours = subprocess.Popen([binary, "--bench", str(instruments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
checksum = int(ours.stdout.readline())
assert checksum == int(chosen.sum()), "the sides have different ticks"


def our_round():
    ours.stdin.write("\n")
    ours.stdin.flush()
    return float(ours.stdout.readline())


def their_round(threads):
    db.execute(f"SET threads = {threads}")
    start = time.perf_counter()
    db.execute(QUERY)
    return (time.perf_counter() - start) * 1e9 / TICKS


rounds = [(our_round(), their_round(1), their_round(2)) for _ in range(ROUNDS)]
print(f"DuckDB {duckdb.__version__}, {instruments} instruments, {TICKS} ticks, {ROUNDS} rounds, ns per tick (medians):")
for index, name in enumerate(["ours, batches of 4096, 1 thread", "DuckDB, 1 thread", "DuckDB, 2 threads"]):
    print(f"  {name}: {statistics.median(r[index] for r in rounds):.1f}")
print(f"  DuckDB 1 thread / ours: {statistics.median(b / a for a, b, _ in rounds):.2f}")
print(f"  DuckDB 2 threads / ours: {statistics.median(c / a for a, _, c in rounds):.2f}")
