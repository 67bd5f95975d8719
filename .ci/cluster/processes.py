"""Programs that are started, asked over HTTP, waited for, and killed at the end."""
import asyncio
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import time
import urllib.request

# A machine that builds something else besides must not fail this.
PATIENCE = 120.0

# Programs that one knows by their port have lower ones, most of them.
FIRST_PORT = 20_000

# No proxy stands between two programs of one machine.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_ports(count):
    """Ports at which nobody listens, of those that the system gives to nobody who asks for any: whoever is killed and
    comes back finds its own free."""
    lowest, highest = (int(word) for word in pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    others = [*range(FIRST_PORT, lowest), *range(highest + 1, 1 << 16)]
    random.shuffle(others)
    sockets = []
    with contextlib.ExitStack() as taken:
        # Where the system gives all of them, it is to choose.
        for port in [*others, *[0] * count]:
            with contextlib.suppress(OSError):
                sockets.append(taken.enter_context(socket.create_server(("127.0.0.1", port))))
            if len(sockets) == count:
                return [one.getsockname()[1] for one in sockets]
    raise OSError(f"not {count} ports are free")


async def until(what, is_so, patience=PATIENCE):
    """Waits until `is_so` gives something, and gives that."""
    began = time.monotonic()
    while True:
        result = is_so()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() - began < patience, f"{what}: not within {patience} s"
        await asyncio.sleep(0.05)


def http(port, path, timeout=10):
    with LOCAL.open(f"http://127.0.0.1:{port}{path}", timeout=timeout) as response:
        return response.read()


async def get(port, path):
    return json.loads(await asyncio.to_thread(http, port, path))


async def server(target, directory, name, *arguments):
    """A candle-server that is ready, at its `port`; its log is a file of its name."""
    log = directory / f"{name}.log"
    process = await Process(f"{target}/candle-server", "--listen", "127.0.0.1:0", *arguments, log=log).start(wants_line=True)
    try:
        line = (await asyncio.wait_for(process.process.stdout.readline(), PATIENCE)).decode()
        assert line, f"{name} ended: {log.read_text()[-2000:]}"
        process.port = int(line.rsplit(":", 1)[1])
    except BaseException:
        # Nobody else knows of it.
        await process.end()
        raise
    return process


class Process:
    """A child that is killed at the end, whatever happens."""

    def __init__(self, *command, log):
        self.command, self.log, self.process = [str(word) for word in command], log, None

    async def start(self, wants_line=False):
        stdout = asyncio.subprocess.PIPE if wants_line else asyncio.subprocess.DEVNULL
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self.command, stdout=stdout, stderr=log, env={**os.environ, "NO_COLOR": "1"})
        return self

    def processor_seconds(self):
        """What it has used so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def send(self, number):
        self.process.send_signal(number)

    async def end(self, number=signal.SIGKILL):
        if self.process and self.process.returncode is None:
            self.process.send_signal(number)
            return await asyncio.wait_for(self.process.wait(), PATIENCE)
        return None
