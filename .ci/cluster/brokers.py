"""Brokers: one log, kept by three of them."""
import asyncio
import json
import socket
from http.client import HTTPException

from .processes import Process, free_ports, get, until

# What a broker's management answers while nobody leads, and of a stream that is not there.
UNAVAILABLE, NO_SUCH_STREAM = 503, 10059


class Cluster:
    """Three brokers, each with a directory of its own."""

    def __init__(self, program, directory):
        ports = free_ports(9)
        self.clients, self.routes, self.monitors = ports[:3], ports[3:6], ports[6:]
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self.routes)
        self.brokers = []
        for place in range(3):
            config = directory / f"broker-{place}.conf"
            config.write_text(
                f"""server_name: broker-{place}
                listen: 127.0.0.1:{self.clients[place]}
                http: 127.0.0.1:{self.monitors[place]}
                jetstream {{ store_dir: "{directory}/broker-{place}", sync_interval: always }}
                cluster {{ name: c, listen: 127.0.0.1:{self.routes[place]}, routes: [{routes}], no_advertise: true }}"""
            )
            self.brokers.append(Process(program, "-c", config, log=directory / f"broker-{place}.log"))
            self.brokers[-1].name = f"broker-{place}"

    async def start(self):
        await asyncio.gather(*(broker.start() for broker in self.brokers))
        await until("a cluster", self.has_leader)
        return self

    async def end(self):
        await asyncio.gather(*(broker.end() for broker in self.brokers), return_exceptions=True)

    async def has_leader(self):
        try:
            meta = (await get(self.monitors[0], "/jsz"))["meta_cluster"]
            return meta.get("leader") and meta["cluster_size"] == 3
        except (OSError, KeyError, ValueError, HTTPException):
            return False

    async def leader_of(self, stream):
        """The broker that leads a stream."""
        for port in self.monitors:
            try:
                for account in (await get(port, "/jsz?streams=true"))["account_details"]:
                    for detail in account.get("stream_detail", []):
                        if detail["name"] == stream and detail.get("cluster", {}).get("leader"):
                            return next(one for one in self.brokers if one.name == detail["cluster"]["leader"])
            except (OSError, KeyError, ValueError, HTTPException):
                continue
        return None

    async def tell(self, subject, payload):
        """Tells the first broker something that nobody asked for."""
        async def is_told():
            try:
                await asyncio.to_thread(self.say, f"PUB {subject} {len(payload)}\r\n{payload}\r\nPING\r\n", b"PONG")
                return True
            except OSError:
                return False
        await until(f"{subject} is told", is_told)

    async def ask(self, what):
        """Asks the first broker's management to do something, until it is done."""
        tries = 0
        async def is_done():
            nonlocal tries
            tries += 1
            try:
                answer = json.loads(await asyncio.to_thread(self.say, f"SUB _INBOX.x 1\r\nPUB $JS.API.{what} _INBOX.x 0\r\n\r\n", b"MSG "))
            except OSError:
                return False
            error = answer.get("error", {})
            # A try before, whose answer was lost, has done it.
            is_gone = what.startswith("STREAM.DELETE.") and tries > 1 and error.get("err_code") == NO_SUCH_STREAM
            assert answer.get("success") or is_gone or error.get("code") == UNAVAILABLE, answer
            return answer.get("success") or is_gone
        await until(what, is_done)

    def say(self, words, awaited):
        """Says something to the first broker, and gives the line behind the one that begins as awaited."""
        with socket.create_connection(("127.0.0.1", self.clients[0]), 10) as connection, connection.makefile("rb") as answers:
            connection.sendall(f'CONNECT {{"verbose": false}}\r\n{words}'.encode())
            while line := answers.readline():
                if line.startswith(awaited):
                    return answers.readline() if awaited == b"MSG " else line
        raise ConnectionError("the broker has gone")


def url(ports, log="QUOTES"):
    """The address of a log at brokers on these ports."""
    return "nats://" + ",".join(f"127.0.0.1:{port}" for port in ports) + f"/{log}"
