"""A network namespace for each service on one bridge. A service has a name in DNS while it runs."""
import asyncio
import ctypes
import socket
import struct
import subprocess

BRIDGE, SUBNET = "candle", "172.30.0"
CLONE_NEWNET = 0x40000000
# The address of an engine's DNS server in each container.
RESOLVER = ("127.0.0.11", 53)
ADDRESS, FOUND, NO_SUCH_NAME = 1, 0x8180, 0x8183


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class NameServer(asyncio.DatagramProtocol):
    """Resolves the name of a service while the service runs, as an engine does."""

    def __init__(self, running):
        self.running = running

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, sender):
        labels, offset = [], 12
        while length := query[offset]:
            labels.append(query[offset + 1 : offset + 1 + length].decode("ascii", "replace").lower())
            offset += 1 + length
        kind = struct.unpack_from(">H", query, offset + 1)[0]
        question, address = query[12 : offset + 5], self.running.get(".".join(labels))
        answer = b""
        if address and kind == ADDRESS:
            answer = struct.pack(">HHHIH", 0xC00C, ADDRESS, 1, 600, 4) + socket.inet_aton(address)
        head = query[:2] + struct.pack(">HHHHH", FOUND if address else NO_SUCH_NAME, 1, 1 if answer else 0, 0, 0)
        self.transport.sendto(head + question + answer, sender)


class Network:
    """The bridge, the addresses of its services, and the running services."""

    def __init__(self):
        self.addresses, self.running, self.serving = {}, {}, []
        # Addresses that no service had before.
        self.unused = iter(range(100, 255))
        self.libc = ctypes.CDLL(None, use_errno=True)
        ip("link", "set", "lo", "up")
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")

    async def attach(self, name):
        """Creates the namespace of a service. Its name and its link are up only while it runs."""
        self.addresses[name] = f"{SUBNET}.{len(self.addresses) + 2}"
        ip("netns", "add", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", name, "master", BRIDGE)
        for arguments in (["addr", "add", f"{self.addresses[name]}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            ip("-n", name, *arguments)
        queries = self.socket_in(name)
        queries.bind(RESOLVER)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: NameServer(self.running), sock=queries)
        self.serving.append(transport)

    def move(self, name):
        """Gives a stopped service another address."""
        ip("-n", name, "addr", "flush", "dev", "eth0")
        self.addresses[name] = f"{SUBNET}.{next(self.unused)}"
        ip("-n", name, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")

    def socket_in(self, name):
        """Returns a datagram socket of another namespace. A socket belongs to the namespace of its thread at its creation."""
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
        """Removes the name of a stopped container. Its address does not even refuse connections."""
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
        """Forwards connections to an address of the host to a port of a service."""

        async def pump(reader, writer):
            try:
                while data := await reader.read(1 << 16):
                    writer.write(data)
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
