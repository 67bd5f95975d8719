"""A link between two programs that can freeze: nothing passes, and nobody hears that it does not."""
import asyncio

CHUNK = 1 << 16


class Link:
    """Ways to some ports, each on a port of its own, on which everything takes so many seconds longer."""

    def __init__(self, ports, delay=0.0):
        self.delay = delay
        self.targets, self.there, self.back = ports, asyncio.Event(), asyncio.Event()
        self.thaw()

    async def start(self):
        servers = [await asyncio.start_server(lambda *client, port=port: self.connection(port, *client), "127.0.0.1", 0) for port in self.targets]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        return self

    async def connection(self, port, reader, writer):
        try:
            await self.there.wait()
            answers, questions = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self.pass_on(reader, questions, self.there), self.pass_on(answers, writer, self.back))
        except OSError:
            pass
        finally:
            writer.close()

    async def pass_on(self, source, sink, flows):
        """Passes bytes on while it `flows` until one side is gone, and then closes the other."""
        try:
            while data := await source.read(CHUNK):
                await flows.wait()
                await asyncio.sleep(self.delay)
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            await flows.wait()
            sink.close()

    def freeze(self):
        self.there.clear()
        self.back.clear()

    def deafen(self):
        """What is said arrives, and no answer does."""
        self.back.clear()

    def thaw(self):
        self.there.set()
        self.back.set()
