"""Three brokers that replicate one log."""
import asyncio
import json
import socket
from http.client import HTTPException

from .processes import Process, free_ports, get, wait_until

# Errors of a broker's API: no leader is elected; the stream does not exist.
UNAVAILABLE, NO_SUCH_STREAM = 503, 10059


class Cluster:
    """Three brokers, each with its own directory."""

    def __init__(self, program, directory):
        ports = free_ports(9)
        self.clients, self.routes, self.monitors = ports[:3], ports[3:6], ports[6:]
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self.routes)
        self.brokers = []
        for index in range(3):
            config = directory / f"broker-{index}.conf"
            config.write_text(
                f"""server_name: broker-{index}
                listen: 127.0.0.1:{self.clients[index]}
                http: 127.0.0.1:{self.monitors[index]}
                jetstream {{ store_dir: "{directory}/broker-{index}", sync_interval: always }}
                cluster {{ name: c, listen: 127.0.0.1:{self.routes[index]}, routes: [{routes}], no_advertise: true }}"""
            )
            self.brokers.append(Process(program, "-c", config, log=directory / f"broker-{index}.log"))
            self.brokers[-1].name = f"broker-{index}"

    async def start(self):
        await asyncio.gather(*(broker.start() for broker in self.brokers))
        await wait_until("a cluster", self.has_leader)
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
        """Returns the broker that leads a stream."""
        for port in self.monitors:
            try:
                for account in (await get(port, "/jsz?streams=true"))["account_details"]:
                    for detail in account.get("stream_detail", []):
                        if detail["name"] == stream and detail.get("cluster", {}).get("leader"):
                            return next(one for one in self.brokers if one.name == detail["cluster"]["leader"])
            except (OSError, KeyError, ValueError, HTTPException):
                continue
        return None

    async def publish(self, subject, payload):
        """Publishes a message at the first broker."""
        async def is_published():
            try:
                await asyncio.to_thread(self.exchange, f"PUB {subject} {len(payload)}\r\n{payload}\r\nPING\r\n", b"PONG")
                return True
            except OSError:
                return False
        await wait_until(f"{subject} is published", is_published)

    async def call_api(self, request):
        """Sends a request to the API of the first broker, and repeats it until it has succeeded."""
        tries = 0
        async def is_done():
            nonlocal tries
            tries += 1
            try:
                response = json.loads(await asyncio.to_thread(self.exchange, f"SUB _INBOX.x 1\r\nPUB $JS.API.{request} _INBOX.x 0\r\n\r\n", b"MSG "))
            except OSError:
                return False
            error = response.get("error", {})
            # An earlier try, whose response was lost, has deleted the stream.
            is_gone = request.startswith("STREAM.DELETE.") and tries > 1 and error.get("err_code") == NO_SUCH_STREAM
            assert response.get("success") or is_gone or error.get("code") == UNAVAILABLE, response
            return response.get("success") or is_gone
        await wait_until(request, is_done)

    def exchange(self, commands, expected):
        """Sends commands to the first broker. Returns the line that starts with `expected`, or the payload of a message."""
        with socket.create_connection(("127.0.0.1", self.clients[0]), 10) as connection, connection.makefile("rb") as lines:
            connection.sendall(f'CONNECT {{"verbose": false}}\r\n{commands}'.encode())
            while line := lines.readline():
                if line.startswith(expected):
                    return lines.readline() if expected == b"MSG " else line
        raise ConnectionError("the broker closed the connection")


def url(ports, log="QUOTES"):
    """Returns the address of a log at brokers on these ports."""
    return "nats://" + ",".join(f"127.0.0.1:{port}" for port in ports) + f"/{log}"
