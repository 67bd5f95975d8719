"""Programs that a test starts, requests over HTTP, waits for, and kills at the end."""
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

# The default time limit in seconds. A machine that is busy with another build must not fail a test.
TIMEOUT = 120.0

# Well-known ports of programs are mostly lower than this port.
FIRST_PORT = 20_000

# Programs on one machine talk without a proxy.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_ports(count):
    """Returns free ports outside the system's range of ephemeral ports. So a program that is killed and started again finds
    its own port free."""
    lowest, highest = (int(word) for word in pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    others = [*range(FIRST_PORT, lowest), *range(highest + 1, 1 << 16)]
    random.shuffle(others)
    sockets = []
    with contextlib.ExitStack() as stack:
        # If the ephemeral range contains all ports, the system chooses.
        for port in [*others, *[0] * count]:
            with contextlib.suppress(OSError):
                sockets.append(stack.enter_context(socket.create_server(("127.0.0.1", port))))
            if len(sockets) == count:
                return [one.getsockname()[1] for one in sockets]
    raise OSError(f"{count} ports are needed, but fewer are free")


async def wait_until(name, condition, timeout=TIMEOUT):
    """Waits until `condition` returns a true value, and returns the value."""
    start = time.monotonic()
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() - start < timeout, f"{name}: not within {timeout} s"
        await asyncio.sleep(0.05)


def http(port, path, timeout=10):
    with LOCAL.open(f"http://127.0.0.1:{port}{path}", timeout=timeout) as response:
        return response.read()


async def get(port, path):
    return json.loads(await asyncio.to_thread(http, port, path))


async def start_server(target, directory, name, *arguments):
    """Starts a candle-server and waits until it is ready. Its attribute `port` is set. Its log is a file named after it."""
    log = directory / f"{name}.log"
    process = await Process(f"{target}/candle-server", "--listen", "127.0.0.1:0", *arguments, log=log).start(capture_stdout=True)
    try:
        line = (await asyncio.wait_for(process.process.stdout.readline(), TIMEOUT)).decode()
        assert line, f"{name} ended: {log.read_text()[-2000:]}"
        process.port = int(line.rsplit(":", 1)[1])
    except BaseException:
        # The caller does not have the process yet.
        await process.end()
        raise
    return process


class Process:
    """A child process, which is killed at the end in any case."""

    def __init__(self, *command, log):
        self.command, self.log, self.process = [str(word) for word in command], log, None

    async def start(self, capture_stdout=False):
        stdout = asyncio.subprocess.PIPE if capture_stdout else asyncio.subprocess.DEVNULL
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self.command, stdout=stdout, stderr=log, env={**os.environ, "NO_COLOR": "1"})
        return self

    def processor_seconds(self):
        """Returns the processor time that the process has used."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def send(self, number):
        self.process.send_signal(number)

    async def end(self, number=signal.SIGKILL):
        if self.process and self.process.returncode is None:
            self.process.send_signal(number)
            return await asyncio.wait_for(self.process.wait(), TIMEOUT)
        return None
