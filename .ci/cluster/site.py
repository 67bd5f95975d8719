"""Gateways and read nodes, and whether they tell the same and what is true."""
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
from .processes import PATIENCE, get, http, server, until

# Machines that test have less room than those that serve.
SMALL = ("--nats-max-bytes", str(512 << 20))

# How often a node tells the views that it counted, in seconds.
TOLD_EVERY = 1.0

# The line of a gateway that has started at the log, and of a node that is out of sync.
CONNECTED, RESTARTS = "connected to the log", "restarts from the checkpoint"

# How many instruments are compared byte for byte each time.
COMPARED = 10

# How long a connection to the feed must last to be one, in seconds.
LASTING = 0.5

# How often each node is read by a connection that is kept, and by one that is new, in seconds; and how often where nodes
# turn to another market: some requests then fall into whatever moment they have in which they would not answer.
READ_EVERY, READ_AT_TURNS_EVERY = 0.05, 0.01


class Site:
    """Gateways and read nodes before one cluster and one feed."""

    def __init__(self, target, directory, cluster, upstream, seed=0):
        self.target, self.directory, self.cluster, self.upstream = target, directory, cluster, upstream
        self.random = random.Random(seed)
        self.nodes, self.gateways, self.links, self.feeds = {}, {}, {}, {}
        self.views, self.agreed, self.counting = collections.Counter(), {}, threading.Lock()
        self.errors, self.resting, self.none_killed = [], set(), True
        self.watches, self.read_every, self.reads = [], READ_EVERY, collections.Counter()

    async def link(self, name):
        """The address of the log for one of the servers, by a link of its own."""
        if name not in self.links:
            self.links[name] = await Link(self.cluster.clients).start()
        return url(self.links[name].ports)

    async def server(self, name, *arguments):
        return await server(self.target, self.directory, name, *arguments)

    async def gateway(self, name):
        if name not in self.feeds:
            self.feeds[name] = await Link([self.upstream.port]).start()
        feed = f"ws://127.0.0.1:{self.feeds[name].ports[0]}/"
        # It serves before it has started at the log, and only then is it a standby.
        known = self.text(name).count(CONNECTED)
        self.gateways[name] = await self.server(name, "--feed", feed, "--publish", await self.link(name), *SMALL)
        await until(f"{name} at the log", lambda: self.text(name).count(CONNECTED) > known)

    async def node(self, name):
        node = self.nodes[name] = await self.server(name, "--feed", await self.link(name))
        self.hold_watches()
        self.watches += [asyncio.ensure_future(self.watch(name, node, kept)) for kept in (True, False)]

    def hold_watches(self):
        """Forgets who has ended as the node did, and fails with whatever else ended one."""
        for one in self.watches:
            if one.done():
                one.result()
        self.watches = [one for one in self.watches if not one.done()]

    async def end(self):
        """Ends every server, and with it whoever reads it."""
        processes = [*self.gateways.values(), *self.nodes.values()]
        self.gateways.clear()
        self.nodes.clear()
        await asyncio.gather(*(process.end() for process in processes), return_exceptions=True)

    def text(self, name):
        log = self.directory / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def restarts(self):
        """The number of restarts of each node from a checkpoint."""
        return {name: self.text(name).count(RESTARTS) for name in self.nodes}

    def writer(self):
        """The gateway that writes: the one that was the last to begin."""
        def began(name):
            return max(re.findall(r"^(\S+Z) .* this gateway writes the log", self.text(name), re.M), default="")
        return max(self.gateways, key=began)

    async def both_at_feed(self):
        """Waits until each gateway has a connection to the feed that lasts: one that dies is open for a moment too."""
        seen, since = set(), time.monotonic()
        def are_there():
            nonlocal seen, since
            now = {one for one in self.upstream.connections if not one.is_closing()}
            if now != seen:
                seen, since = now, time.monotonic()
            return len(now) == len(self.gateways) and time.monotonic() - since >= LASTING
        await until("the gateways at the feed", are_there)

    async def read(self, name, path):
        return await get(self.nodes[name].port, path)

    async def progress(self, *names):
        """Waits until every node, or those named, shows a quote that is sent from now on; how long the slowest took."""
        began, wanted = time.monotonic(), time.time()
        async def shows(name):
            try:
                history = json.loads(await asyncio.to_thread(self.history, name, self.upstream.first))
            except urllib.error.HTTPError as error:
                # One that is not listed yet. To whatever else is no answer a node that is there has no right.
                if error.code != 404:
                    raise
                return False
            return (history["lastQuoteTimestamp"] or 0) >= wanted
        for name in names or list(self.nodes):
            await until(f"{name} goes on", lambda name=name: shows(name))
        return time.monotonic() - began

    async def stand_still(self, names):
        """Waits until all of these nodes have been at one and the same place of the log for a second."""
        seen, since = [], time.monotonic()
        async def do():
            nonlocal seen, since
            now = [(await self.read(name, "/feed"))["asOf"] for name in names]
            if now != seen or len(set(now)) > 1:
                seen, since = now, time.monotonic()
            return time.monotonic() - since >= 1.0
        await until("nodes stand still", do)

    async def same(self):
        """Pauses the feed, and waits until every node has exactly what was sent, byte for byte alike."""
        await self.upstream.pause()
        async def lacks(name):
            for id in list(self.upstream.minutes):
                history = json.loads(await asyncio.to_thread(self.history, name, id))
                told = {candle["openTimestamp"]: [candle[f"{kind}Price"] for kind in ("open", "high", "low", "close")] + [candle["quotes"]]
                        for candle in history["candles"] if not candle["filled"]}
                wanted = self.upstream.candles(id)
                if told != wanted:
                    differing = {minute: (told.get(minute), wanted.get(minute)) for minute in told.keys() | wanted.keys() if told.get(minute) != wanted.get(minute)}
                    return f"{name} has of {id} (what it tells, what was sent): {differing}"
            return None
        for name in self.nodes:
            began = time.monotonic()
            while lack := await lacks(name):
                assert time.monotonic() - began < PATIENCE / 4, lack
                await asyncio.sleep(0.2)
        await self.alike()
        await self.views_alike()
        assert not self.errors, self.errors
        self.hold_watches()
        unread = [(name, kept) for name, node in self.nodes.items() for kept in (True, False) if not self.reads[node, kept]]
        assert not unread, f"not read since the last time (name, by a connection that is kept): {unread}"
        self.reads.clear()
        for name in [*self.nodes, *self.gateways]:
            assert "ERROR candle_" not in self.text(name), self.text(name)[-2000:]
        # A feed that tells nothing for long is left and come back to.
        await self.both_at_feed()
        self.upstream.run()

    def history(self, name, id):
        """One history, which counts a view."""
        body = http(self.nodes[name].port, f"/instruments/{id}")
        self.count(id)
        return body

    def count(self, id, views=1):
        with self.counting:
            self.views[id] += views

    def moments(self, name, id, seconds, seen):
        """Reads one history for so long as fast as the node answers, and notes what was seen, by `asOf`: one text or several.
        Each is a view."""
        began, connection = time.monotonic(), HTTPConnection("127.0.0.1", self.nodes[name].port, timeout=10)
        while time.monotonic() - began < seconds:
            connection.request("GET", f"/instruments/{id}")
            with connection.getresponse() as response:
                body = response.read()
            assert response.status == 200, (name, body)
            self.count(id)
            seen[json.loads(body)["asOf"]].add(body[body.index(b'"candles":'):])
        connection.close()

    async def views_alike(self):
        """Waits until every node tells the same views: those that were counted, but for what a killed node had not told."""
        if self.none_killed:
            agreed = await self.until_views_are_alike()
        else:
            # What a killed node had not told is not known here; and nodes of which each has as many untold are alike too.
            await self.until_views_are_alike(3 * TOLD_EVERY)
            # So each now gets a view of an instrument that nobody else gets: a node tells views in the order in which they
            # came, and when the others have that one they have all before it.
            for name, id in zip(self.nodes, reversed(list(self.upstream.minutes))):
                await asyncio.to_thread(self.history, name, id)
            agreed = await self.until_views_are_alike()
        assert all(count <= self.views[id] for id, count in agreed.items()), (agreed, self.views)
        # What every node had told then is known to all that are left.
        gone = {id: (count, agreed.get(id)) for id, count in self.agreed.items() if agreed.get(id, 0) < count}
        assert not gone, f"views that all nodes had told are gone (then, now): {gone}"
        self.agreed = agreed
        tops = [json.loads(await asyncio.to_thread(http, node.port, "/instruments/popular")) for node in self.nodes.values()]
        assert len({tuple(one["id"] for one in top) for top in tops}) == 1, "the most viewed differ"
        self.views, self.none_killed = collections.Counter(agreed), True

    async def until_views_are_alike(self, lasting=0.0):
        """Waits until every node has told the same views for so many seconds, and where none was killed those that were
        counted; gives them."""
        views, alike_since = [], time.monotonic()
        async def told():
            nonlocal alike_since
            listings = [(await get(node.port, f"/instruments?limit=1000"))["instruments"] for node in self.nodes.values()]
            now = [{one["id"]: one["views"] for one in listing if one["views"]} for listing in listings]
            if now != views or any(one != now[0] for one in now):
                alike_since = time.monotonic()
            views[:] = now
            if self.none_killed:
                return now[0] if all(one == self.views for one in now) else None
            are_alike = all(one == now[0] for one in now)
            return now[0] if are_alike and time.monotonic() - alike_since >= lasting else None
        try:
            return await until("views of all nodes", told, PATIENCE / 4)
        except AssertionError:
            each = {id: [self.views[id], *(one.get(id) for one in views)] for id in self.views}
            raise AssertionError(f"views (counted here, told by each node): { {id: all for id, all in each.items() if len(set(all)) > 1} }") from None

    async def alike(self):
        """Waits for a moment of each of some instruments at which all nodes were read, and holds their candles alike."""
        names = list(self.nodes)
        for place in self.random.sample(list(self.upstream.minutes), COMPARED):
            seen = collections.defaultdict(dict)
            async def look():
                bodies = await asyncio.gather(*(asyncio.to_thread(self.history, name, place) for name in names))
                for name, body in zip(names, bodies):
                    history = json.loads(body)
                    candles = body[body.index(b'"candles":'):]
                    seen[history["asOf"]][name] = candles
                return next((by_name for by_name in seen.values() if len(by_name) == len(names)), None)
            by_name = await until("one moment of all nodes", look)
            assert len(set(by_name.values())) == 1, f"{place} differs at one moment: {by_name}"

    async def watch(self, name, node, kept):
        """Reads a node again and again as long as it lives, by one connection that is kept or by another one each time, and
        notes whatever is no answer. Does not count as a view."""
        connection = HTTPConnection("127.0.0.1", node.port, timeout=10)
        def ask():
            if not kept:
                connection.close()
            connection.request("GET", "/instruments?limit=1")
            with connection.getresponse() as response:
                if response.status != 200:
                    raise ValueError(f"{response.status}: {response.read()}")
                response.read()
        while self.nodes.get(name) is node:
            try:
                await asyncio.to_thread(ask)
                self.reads[node, kept] += 1
            except (OSError, ValueError, HTTPException) as error:
                connection.close()
                if self.nodes.get(name) is node and name not in self.resting:
                    self.errors.append(f"{name}, a connection that is {'kept' if kept else 'new'}: {error!r}")
            await asyncio.sleep(self.read_every)
