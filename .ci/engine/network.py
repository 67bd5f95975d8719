"""One network namespace for each service on a bridge, where each is found by its name while it runs."""
import asyncio
import ctypes
import socket
import struct
import subprocess

BRIDGE, SUBNET = "candle", "172.30.0"
CLONE_NEWNET = 0x40000000
# Where an engine answers names, in each container.
RESOLVER = ("127.0.0.11", 53)
ADDRESS, FOUND, NO_SUCH_NAME = 1, 0x8180, 0x8183


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Names(asyncio.DatagramProtocol):
    """Answers questions for the address of a service, as an engine does: only while it runs."""

    def __init__(self, running):
        self.running = running

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, sender):
        labels, place = [], 12
        while length := query[place]:
            labels.append(query[place + 1 : place + 1 + length].decode("ascii", "replace").lower())
            place += 1 + length
        kind = struct.unpack_from(">H", query, place + 1)[0]
        question, address = query[12 : place + 5], self.running.get(".".join(labels))
        answer = b""
        if address and kind == ADDRESS:
            answer = struct.pack(">HHHIH", 0xC00C, ADDRESS, 1, 600, 4) + socket.inet_aton(address)
        head = query[:2] + struct.pack(">HHHHH", FOUND if address else NO_SUCH_NAME, 1, 1 if answer else 0, 0, 0)
        self.transport.sendto(head + question + answer, sender)


class Network:
    """The bridge, the services at it, and those that run."""

    def __init__(self):
        self.addresses, self.running, self.serving = {}, {}, []
        # Addresses that nobody had before.
        self.later = iter(range(100, 255))
        self.libc = ctypes.CDLL(None, use_errno=True)
        ip("link", "set", "lo", "up")
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")

    async def attach(self, name):
        """Makes the namespace of a service; its name and its link are not there before it runs."""
        self.addresses[name] = f"{SUBNET}.{len(self.addresses) + 2}"
        ip("netns", "add", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", name, "master", BRIDGE)
        for words in (["addr", "add", f"{self.addresses[name]}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            ip("-n", name, *words)
        answers = self.socket_in(name)
        answers.bind(RESOLVER)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Names(self.running), sock=answers)
        self.serving.append(transport)

    def move(self, name):
        """Gives a service that does not run another address."""
        ip("-n", name, "addr", "flush", "dev", "eth0")
        self.addresses[name] = f"{SUBNET}.{next(self.later)}"
        ip("-n", name, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")

    def socket_in(self, name):
        """A datagram socket of another namespace: it is of the one in which its thread was when it was made."""
        with open("/proc/self/ns/net") as ours, open(f"/run/netns/{name}") as theirs:
            self.enter(theirs)
            try:
                return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            finally:
                self.enter(ours)

    def enter(self, namespace):
        if self.libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def up(self, name):
        ip("link", "set", name, "up")
        self.running[name] = self.addresses[name]

    def down(self, name):
        """The container is gone: so are its name, and whoever would refuse a connection."""
        del self.running[name]
        ip("link", "set", name, "down")

    def close(self):
        for name in self.addresses:
            ip("link", "del", name)
            ip("netns", "del", name)
        ip("link", "del", BRIDGE)
        for one in self.serving:
            one.close()

    async def publish(self, host, name, port):
        """Passes connections to an address of the host on to a port of a service."""

        async def pump(reader, writer):
            try:
                while piece := await reader.read(1 << 16):
                    writer.write(piece)
                    await writer.drain()
            except OSError:
                pass
            writer.close()

        async def connection(reader, writer):
            try:
                there = await asyncio.open_connection(self.addresses[name], port)
            except OSError:
                return writer.close()
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

        self.serving.append(await asyncio.start_server(connection, *host))
