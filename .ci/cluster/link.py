"""A link between two programs that can freeze: no byte passes, and neither side is notified."""
import asyncio

CHUNK = 1 << 16


class Link:
    """Forwards connections to some ports, each from a port of its own. Every byte is delayed by `delay` seconds."""

    def __init__(self, ports, delay=0.0):
        self.delay = delay
        self.targets, self.requests_flow, self.responses_flow = ports, asyncio.Event(), asyncio.Event()
        self.thaw()

    async def start(self):
        servers = [await asyncio.start_server(lambda *client, port=port: self.connection(port, *client), "127.0.0.1", 0) for port in self.targets]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        return self

    async def connection(self, port, reader, writer):
        try:
            await self.requests_flow.wait()
            responses, requests = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self.forward(reader, requests, self.requests_flow), self.forward(responses, writer, self.responses_flow))
        except OSError:
            pass
        finally:
            writer.close()

    async def forward(self, source, sink, flows):
        """Forwards bytes while the event `flows` is set, until one side closes. Then closes the other side."""
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
        self.requests_flow.clear()
        self.responses_flow.clear()

    def block_responses(self):
        """Forwards requests, but no responses."""
        self.responses_flow.clear()

    def thaw(self):
        self.requests_flow.set()
        self.responses_flow.set()
