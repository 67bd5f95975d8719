"""Brokers: one log, kept by three of them."""
import asyncio
import json
import socket

from .processes import Process, free_ports, get, until


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
        except (OSError, KeyError):
            return False

    async def leader_of(self, stream):
        """The broker that leads a stream."""
        for port in self.monitors:
            try:
                for account in (await get(port, "/jsz?streams=true"))["account_details"]:
                    for detail in account.get("stream_detail", []):
                        if detail["name"] == stream and detail.get("cluster", {}).get("leader"):
                            return next(one for one in self.brokers if one.name == detail["cluster"]["leader"])
            except (OSError, KeyError):
                continue
        return None

    def tell(self, subject, payload):
        """Tells the first broker something that nobody asked for."""
        with socket.create_connection(("127.0.0.1", self.clients[0]), 10) as connection, connection.makefile("rb") as answers:
            connection.sendall(f'CONNECT {{"verbose": false}}\r\nPUB {subject} {len(payload)}\r\n{payload}\r\nPING\r\n'.encode())
            while not answers.readline().startswith(b"PONG"):
                pass

    def ask(self, what):
        """Asks the first broker's management for something, and gives its answer."""
        with socket.create_connection(("127.0.0.1", self.clients[0]), 10) as connection, connection.makefile("rb") as answers:
            connection.sendall(f'CONNECT {{"verbose": false}}\r\nSUB _INBOX.x 1\r\nPUB $JS.API.{what} _INBOX.x 0\r\n\r\n'.encode())
            while not answers.readline().startswith(b"MSG "):
                pass
            answer = json.loads(answers.readline())
        assert answer.get("success"), answer


def url(ports, log="QUOTES"):
    """The address of a log at brokers on these ports."""
    return "nats://" + ",".join(f"127.0.0.1:{port}" for port in ports) + f"/{log}"
