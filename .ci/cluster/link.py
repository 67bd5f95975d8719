"""A link between two programs that can freeze: nothing passes, and nobody hears that it does not."""
import asyncio

CHUNK = 1 << 16


class Link:
    """Ways to some ports, each on a port of its own."""

    def __init__(self, ports):
        self.targets, self.thawed = ports, asyncio.Event()
        self.thawed.set()

    async def start(self):
        servers = [await asyncio.start_server(lambda *client, port=port: self.connection(port, *client), "127.0.0.1", 0) for port in self.targets]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        return self

    async def connection(self, port, reader, writer):
        try:
            await self.thawed.wait()
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self.pass_on(reader, back), self.pass_on(there, writer))
        except OSError:
            pass
        finally:
            writer.close()

    async def pass_on(self, source, sink):
        """Passes bytes on until one side is gone, and then closes the other."""
        try:
            while data := await source.read(CHUNK):
                await self.thawed.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            await self.thawed.wait()
            sink.close()

    def freeze(self):
        self.thawed.clear()

    def thaw(self):
        self.thawed.set()
