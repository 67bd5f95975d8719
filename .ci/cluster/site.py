"""Gateways and read nodes of a test, and checks that their answers are equal and correct."""
import asyncio
import collections
import json
import random
import re
import threading
import time
import urllib.error
from http.client import HTTPConnection, HTTPException

from .brokers import url
from .link import Link
from .processes import TIMEOUT, get, http, start_server, wait_until

# A small log, for machines with little room on the disk.
SMALL_LOG = ("--nats-max-bytes", str(512 << 20))

# The interval at which a node publishes views, in seconds.
VIEWS_INTERVAL = 1.0

# Log lines of a gateway that has connected to the log, and of a node that is out of sync.
CONNECTED, RESTARTS = "connected to the log", "restarts from the checkpoint"

# The number of instruments whose candles are compared byte for byte in each check.
COMPARED = 10

# The time after which a connection to the feed counts as stable, in seconds.
STABLE_FOR = 0.5

# The interval of reads from each node, over a persistent connection and over new ones, in seconds. The interval is shorter
# while nodes restart from the checkpoint: a moment without an answer must not go unnoticed.
READ_INTERVAL, READ_INTERVAL_AT_RESTARTS = 0.05, 0.01


class Site:
    """Gateways and read nodes with one cluster of brokers and one feed."""

    def __init__(self, target, directory, cluster, upstream, seed=0):
        self.target, self.directory, self.cluster, self.upstream = target, directory, cluster, upstream
        self.random = random.Random(seed)
        self.nodes, self.gateways, self.links, self.feeds = {}, {}, {}, {}
        self.views, self.agreed_views, self.counting = collections.Counter(), {}, threading.Lock()
        self.errors, self.paused, self.no_node_killed = [], set(), True
        self.watchers, self.read_interval, self.reads = [], READ_INTERVAL, collections.Counter()

    async def link(self, name):
        """Returns the address of the log for one server, through a link of its own."""
        if name not in self.links:
            self.links[name] = await Link(self.cluster.clients).start()
        return url(self.links[name].ports)

    async def server(self, name, *arguments):
        return await start_server(self.target, self.directory, name, *arguments)

    async def gateway(self, name):
        if name not in self.feeds:
            self.feeds[name] = await Link([self.upstream.port]).start()
        feed = f"ws://127.0.0.1:{self.feeds[name].ports[0]}/"
        # A gateway serves before it is connected to the log. It is a standby only after that.
        known = self.text(name).count(CONNECTED)
        self.gateways[name] = await self.server(name, "--feed", feed, "--publish", await self.link(name), *SMALL_LOG)
        await wait_until(f"{name} is connected to the log", lambda: self.text(name).count(CONNECTED) > known)

    async def node(self, name):
        node = self.nodes[name] = await self.server(name, "--feed", await self.link(name))
        self.check_watchers()
        self.watchers += [asyncio.ensure_future(self.watch(name, node, persistent)) for persistent in (True, False)]

    def check_watchers(self):
        """Removes the watchers that ended with their node, and fails if another watcher ended."""
        for one in self.watchers:
            if one.done():
                one.result()
        self.watchers = [one for one in self.watchers if not one.done()]

    async def end(self):
        """Ends every server, and its watchers."""
        processes = [*self.gateways.values(), *self.nodes.values()]
        self.gateways.clear()
        self.nodes.clear()
        await asyncio.gather(*(process.end() for process in processes), return_exceptions=True)

    def text(self, name):
        log = self.directory / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def restarts(self):
        """Returns the number of restarts of each node from a checkpoint."""
        return {name: self.text(name).count(RESTARTS) for name in self.nodes}

    def leader(self):
        """Returns the gateway that writes the log: the gateway that acquired the lease last."""
        def acquired(name):
            return max(re.findall(r"^(\S+Z) .* this gateway writes the log", self.text(name), re.M), default="")
        return max(self.gateways, key=acquired)

    async def wait_for_feed_connections(self):
        """Waits until each gateway has a stable connection to the feed. A connection that fails is open for a moment too."""
        seen, since = set(), time.monotonic()
        def are_stable():
            nonlocal seen, since
            now = {one for one in self.upstream.connections if not one.is_closing()}
            if now != seen:
                seen, since = now, time.monotonic()
            return len(now) == len(self.gateways) and time.monotonic() - since >= STABLE_FOR
        await wait_until("stable connections of the gateways to the feed", are_stable)

    async def read(self, name, path):
        return await get(self.nodes[name].port, path)

    async def wait_for_new_quotes(self, *names):
        """Waits until every node, or each named node, shows a quote that is sent from now on. Returns the seconds it took."""
        start, wanted = time.monotonic(), time.time()
        async def has_new_quote(name):
            try:
                history = json.loads(await asyncio.to_thread(self.history, name, self.upstream.first_id))
            except urllib.error.HTTPError as error:
                # The instrument may not be listed yet. A running node must not answer with any other error.
                if error.code != 404:
                    raise
                return False
            return (history["lastQuoteTimestamp"] or 0) >= wanted
        for name in names or list(self.nodes):
            await wait_until(f"{name} shows new quotes", lambda name=name: has_new_quote(name))
        return time.monotonic() - start

    async def wait_until_idle(self, names):
        """Waits until these nodes have had one and the same `asOf` for a second."""
        seen, since = [], time.monotonic()
        async def are_idle():
            nonlocal seen, since
            now = [(await self.read(name, "/feed"))["asOf"] for name in names]
            if now != seen or len(set(now)) > 1:
                seen, since = now, time.monotonic()
            return time.monotonic() - since >= 1.0
        await wait_until("idle nodes", are_idle)

    async def check_nodes(self):
        """Pauses the feed, waits until every node has exactly the quotes that were sent, and checks that answers are equal."""
        await self.upstream.pause()
        async def difference(name):
            for id in list(self.upstream.minutes):
                history = json.loads(await asyncio.to_thread(self.history, name, id))
                served = {candle["openTimestamp"]: [candle[f"{kind}Price"] for kind in ("open", "high", "low", "close")] + [candle["quotes"]]
                        for candle in history["candles"] if not candle["filled"]}
                expected = self.upstream.candles(id)
                if served != expected:
                    differing = {minute: (served.get(minute), expected.get(minute)) for minute in served.keys() | expected.keys() if served.get(minute) != expected.get(minute)}
                    return f"{name} differs for {id} (served, expected): {differing}"
            return None
        for name in self.nodes:
            start = time.monotonic()
            while message := await difference(name):
                assert time.monotonic() - start < TIMEOUT / 4, message
                await asyncio.sleep(0.2)
        await self.check_equal_candles()
        await self.check_views()
        assert not self.errors, self.errors
        self.check_watchers()
        unread = [(name, persistent) for name, node in self.nodes.items() for persistent in (True, False) if not self.reads[node, persistent]]
        assert not unread, f"no reads since the last check (node, over a persistent connection): {unread}"
        self.reads.clear()
        for name in [*self.nodes, *self.gateways]:
            assert "ERROR candle_" not in self.text(name), self.text(name)[-2000:]
        # Gateways reconnect to a feed that was silent for long.
        await self.wait_for_feed_connections()
        self.upstream.run()

    def history(self, name, id):
        """Reads one history, which counts a view."""
        body = http(self.nodes[name].port, f"/instruments/{id}")
        self.count_views(id)
        return body

    def count_views(self, id, views=1):
        with self.counting:
            self.views[id] += views

    def collect_answers(self, name, id, seconds, answers):
        """Reads one history repeatedly, as fast as the node answers. Adds the text of the candles to `answers`, by `asOf`. Each
        read counts a view."""
        start, connection = time.monotonic(), HTTPConnection("127.0.0.1", self.nodes[name].port, timeout=10)
        while time.monotonic() - start < seconds:
            connection.request("GET", f"/instruments/{id}")
            with connection.getresponse() as response:
                body = response.read()
            assert response.status == 200, (name, body)
            self.count_views(id)
            answers[json.loads(body)["asOf"]].add(body[body.index(b'"candles":'):])
        connection.close()

    async def check_views(self):
        """Waits until every node has the same views: those that were counted, except views that a killed node had not
        published."""
        if self.no_node_killed:
            agreed = await self.wait_for_equal_views()
        else:
            # The views that a killed node had not published are unknown. Nodes can also have equal numbers of unpublished
            # views, so equal views are not enough.
            await self.wait_for_equal_views(3 * VIEWS_INTERVAL)
            # Each node now gets a view of an instrument that nobody else reads. A node publishes views in order, so when the
            # other nodes have this view, they have all earlier ones.
            for name, id in zip(self.nodes, reversed(list(self.upstream.minutes))):
                await asyncio.to_thread(self.history, name, id)
            agreed = await self.wait_for_equal_views()
        assert all(count <= self.views[id] for id, count in agreed.items()), (agreed, self.views)
        # Views on which all nodes agreed in the last check must not be lost.
        lost = {id: (count, agreed.get(id)) for id, count in self.agreed_views.items() if agreed.get(id, 0) < count}
        assert not lost, f"views that all nodes had are lost (then, now): {lost}"
        self.agreed_views = agreed
        tops = [json.loads(await asyncio.to_thread(http, node.port, "/instruments/popular")) for node in self.nodes.values()]
        assert len({tuple(one["id"] for one in top) for top in tops}) == 1, "the most viewed instruments differ"
        self.views, self.no_node_killed = collections.Counter(agreed), True

    async def wait_for_equal_views(self, seconds=0.0):
        """Waits until every node has had the same views for so many seconds, and returns the views. If no node was killed,
        the views must be the counted ones."""
        views, equal_since = [], time.monotonic()
        async def equal_views():
            nonlocal equal_since
            listings = [(await get(node.port, "/instruments?limit=1000"))["instruments"] for node in self.nodes.values()]
            now = [{one["id"]: one["views"] for one in listing if one["views"]} for listing in listings]
            if now != views or any(one != now[0] for one in now):
                equal_since = time.monotonic()
            views[:] = now
            if self.no_node_killed:
                return now[0] if all(one == self.views for one in now) else None
            are_equal = all(one == now[0] for one in now)
            return now[0] if are_equal and time.monotonic() - equal_since >= seconds else None
        try:
            return await wait_until("equal views of all nodes", equal_views, TIMEOUT / 4)
        except AssertionError:
            each = {id: [self.views[id], *(one.get(id) for one in views)] for id in self.views}
            raise AssertionError(f"views (counted here, served by each node): { {id: all for id, all in each.items() if len(set(all)) > 1} }") from None

    async def check_equal_candles(self):
        """Checks that nodes with equal `asOf` serve equal candles, for a sample of the instruments."""
        names = list(self.nodes)
        for id in self.random.sample(list(self.upstream.minutes), COMPARED):
            seen = collections.defaultdict(dict)
            async def read_all():
                bodies = await asyncio.gather(*(asyncio.to_thread(self.history, name, id) for name in names))
                for name, body in zip(names, bodies):
                    history = json.loads(body)
                    candles = body[body.index(b'"candles":'):]
                    seen[history["asOf"]][name] = candles
                return next((by_name for by_name in seen.values() if len(by_name) == len(names)), None)
            by_name = await wait_until("one asOf of all nodes", read_all)
            assert len(set(by_name.values())) == 1, f"{id} differs at one asOf: {by_name}"

    async def watch(self, name, node, persistent):
        """Reads a node repeatedly while it lives, over one persistent connection or over a new connection each time, and
        records every failure. The reads count no view."""
        connection = HTTPConnection("127.0.0.1", node.port, timeout=10)
        def read_listing():
            if not persistent:
                connection.close()
            connection.request("GET", "/instruments?limit=1")
            with connection.getresponse() as response:
                if response.status != 200:
                    raise ValueError(f"{response.status}: {response.read()}")
                response.read()
        while self.nodes.get(name) is node:
            try:
                await asyncio.to_thread(read_listing)
                self.reads[node, persistent] += 1
            except (OSError, ValueError, HTTPException) as error:
                connection.close()
                if self.nodes.get(name) is node and name not in self.paused:
                    self.errors.append(f"{name}, a {'persistent' if persistent else 'new'} connection: {error!r}")
            await asyncio.sleep(self.read_interval)
