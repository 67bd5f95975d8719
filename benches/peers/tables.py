"""The peers that take a whole table: pandas, polars, DuckDB and chDB.

The million trades of one instrument are grouped by minute, those of many instruments by id and minute.
"""

import json
from pathlib import Path

# The times of the CSV file are milliseconds, those of the JSON file seconds.
TYPES = {"timestamp": "int64", "price": "float64", "size": "float64", "seq": "int64", "id": "str"}


def pandas(data, given):
    import pandas

    table = pandas.read_csv(data / f"{given}.csv", dtype=TYPES)
    real_id = table["id"].iloc[0]

    def group(table, unit=60_000):
        minute = (table["timestamp"] // unit).rename("minute")
        keys = [minute] if given == "real" else [table["id"], minute]
        groups = table.groupby(keys, sort=False)
        price = groups["price"]
        return pandas.DataFrame({
            "open": price.first(), "high": price.max(), "low": price.min(), "close": price.last(),
            "volume": groups["size"].sum(), "count": groups.size(),
        })

    ways = {
        "memory": lambda: group(table),
        "csv": lambda: group(pandas.read_csv(data / f"{given}.csv", dtype=TYPES)),
        # Without precise_float it reads some prices wrong in the last digit.
        "ndjson": lambda: group(
            pandas.read_json(
                data / f"{given}.ndjson", lines=True, dtype=TYPES | {"timestamp": "float64"}, convert_dates=False, precise_float=True
            ),
            60,
        ),
    }

    def candles(made):
        rows = made.reset_index().itertuples(index=False, name=None)
        rows = rows if given == "many" else ((real_id, *row) for row in rows)
        return whole(rows)

    return lambda way: (ways[way], candles)


def polars(data, given):
    import polars

    types = {"timestamp": polars.Int64, "price": polars.Float64, "size": polars.Float64, "seq": polars.Int64, "id": polars.String}
    in_json = {name: types[name] for name in ["id", "price", "timestamp", "size", "seq"]} | {"timestamp": polars.Float64}
    table = polars.read_csv(data / f"{given}.csv", schema=types)
    real_id = table["id"][0]

    def group(table, unit=60_000):
        minute = (polars.col("timestamp") // unit).alias("minute")
        price = polars.col("price")
        keys = [minute] if given == "real" else ["id", minute]
        return table.lazy().group_by(keys).agg(
            price.first().alias("open"), price.max().alias("high"), price.min().alias("low"), price.last().alias("close"),
            polars.col("size").sum().alias("volume"), polars.len().alias("count"),
        ).collect()

    ways = {
        "memory": lambda: group(table),
        "csv": lambda: group(polars.scan_csv(data / f"{given}.csv", schema=types)),
        "ndjson": lambda: group(polars.scan_ndjson(data / f"{given}.ndjson", schema=in_json), 60),
    }
    return lambda way: (ways[way], lambda made: whole(row if given == "many" else (real_id, *row) for row in made.rows()))


def whole(rows):
    """Minutes as whole numbers."""
    return ((name, int(minute), *rest) for name, minute, *rest in rows)


def query(given, source, first, last, minute):
    keys = "minute" if given == "real" else "id, minute"
    return (
        f"SELECT {keys}, {first} AS open, max(price) AS high, min(price) AS low, {last} AS close, sum(size) AS volume, "
        f"count(*) AS count FROM (SELECT *, {minute} AS minute FROM {source}) AS trades GROUP BY {keys}"
    )


def sources(way, memory, csv, ndjson):
    """Splits a way into its source and its threads: `1` or `all`."""
    form, threads = way.rsplit("-", 1)
    return {"memory": memory, "csv": csv, "ndjson": ndjson}[form], threads


def minute_of(way, in_json, elsewhere):
    return in_json if way.startswith("ndjson") else elsewhere


def duckdb(data, given):
    import os

    import duckdb

    real_id = first_id(data, given)
    db = duckdb.connect()
    types = {"timestamp": "BIGINT", "price": "DOUBLE", "size": "DOUBLE", "seq": "BIGINT", "id": "VARCHAR"}
    csv = f"read_csv('{data / given}.csv', header = true, columns = {types})"
    in_json = types | {"timestamp": "DOUBLE"}
    ndjson = f"read_json('{data / given}.ndjson', format = 'newline_delimited', columns = {in_json})"
    db.execute(f"CREATE TABLE trades AS SELECT * FROM {csv}")

    def peer(way):
        source, threads = sources(way, "trades", csv, ndjson)
        # With one thread, first and last go by the order of rows. With several, only the number tells the order.
        ends = ("first(price)", "last(price)") if threads == "1" else ("arg_min(price, seq)", "arg_max(price, seq)")
        db.execute(f"SET threads = {1 if threads == '1' else os.cpu_count()}")
        text = "CREATE OR REPLACE TEMP TABLE candles AS " + query(given, source, *ends, minute_of(way, "CAST(floor(timestamp / 60) AS BIGINT)", "timestamp // 60000"))
        rows = lambda _: db.execute("FROM candles").fetchall()
        return lambda: db.execute(text), lambda made: rows(made) if given == "many" else [(real_id, *row) for row in rows(made)]

    return peer


def chdb(data, given):
    from chdb import session

    real_id = first_id(data, given)
    db = session.Session()
    types = "timestamp Int64, price Float64, size Float64, seq Int64, id String"
    csv = f"file('{data / given}.csv', 'CSVWithNames', '{types}')"
    ndjson = f"file('{data / given}.ndjson', 'JSONEachRow', '{types.replace('timestamp Int64', 'timestamp Float64')}')"
    db.query("CREATE DATABASE IF NOT EXISTS peers ENGINE = Atomic")
    db.query(f"CREATE TABLE peers.trades ({types}) ENGINE = Memory")
    db.query(f"INSERT INTO peers.trades SELECT * FROM {csv} SETTINGS max_threads = 1, max_insert_threads = 1")
    identity = "" if given == "real" else "id String, "
    columns = identity + "minute Int64, open Float64, high Float64, low Float64, close Float64, volume Float64, count UInt64"

    def peer(way):
        source, threads = sources(way, "peers.trades", csv, ndjson)
        ends = ("any(price)", "anyLast(price)") if threads == "1" else ("argMin(price, seq)", "argMax(price, seq)")
        settings = " SETTINGS max_threads = 1" if threads == "1" else ""
        minute = minute_of(way, "toInt64(floor(timestamp / 60))", "intDiv(timestamp, 60000)")
        text = "INSERT INTO peers.candles " + query(given, source, *ends, minute) + settings
        db.query(f"CREATE OR REPLACE TABLE peers.candles ({columns}) ENGINE = Memory")

        def candles(_):
            lines = str(db.query("SELECT * FROM peers.candles", "JSONCompactEachRow")).splitlines()
            rows = (json.loads(line) for line in lines)
            return rows if given == "many" else ([real_id, *row] for row in rows)

        return lambda: db.query(text), candles

    return peer


def first_id(data: Path, given):
    with open(data / f"{given}.csv") as file:
        file.readline()
        return file.readline().strip().rsplit(",", 1)[1]


PEERS = {"pandas": pandas, "polars": polars, "duckdb": duckdb, "chdb": chdb}
