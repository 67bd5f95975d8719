"""One Python peer: worker.py PEER DATA INPUT PEERS_DIR. Answers `check WAY PATH` and `time WAY`, as worker/main.rs does.

A peer is a function that takes a way and returns `run` and `candles`: `run()` is timed, and `candles()` returns what it
made as rows of id, minute, open, high, low, close, volume, count.
"""

import csv
import gc
import os
import sys
import time
from pathlib import Path

name, data, given, peers = sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
if name == "polars-1":
    os.environ["POLARS_MAX_THREADS"] = "1"


# On a machine with other work, the time for which the threads of a peer ran says more than the time that passed.
clock = {"wall": time.perf_counter, "processor": time.process_time}[os.environ.get("CANDLE_BENCH_CLOCK", "wall")]


def load():
    if name in ("pandas", "polars", "polars-1", "duckdb", "chdb"):
        import tables

        return tables.PEERS[name.removesuffix("-1")](data, given)
    import streams

    return streams.PEERS[name](data, given, peers)


def main():
    try:
        peer = load()
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    for line in sys.stdin:
        command, way, *path = line.split()
        print(answer(peer, command, way, path), flush=True)


def answer(peer, command, way, path):
    try:
        run, candles = peer(way)
    except KeyError:
        return f"unknown way {way}"
    peer_clock = getattr(peer, "clock", clock)
    gc.collect()
    gc.disable()
    start = peer_clock()
    try:
        made = run()
        seconds = peer_clock() - start
        gc.enable()
        if command == "time":
            return seconds
        with open(path[0], "w", newline="") as file:
            csv.writer(file).writerows(candles(made))
        return "ok"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


main()
