"""A container: the program of a service with the files, names, user and process id that an engine gives it."""
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from cluster.processes import wait_until

from .image import libraries

INSIDE = str(pathlib.Path(__file__).with_name("inside.py"))
# The seconds that an engine waits for a container to stop, and the users and groups of images.
STOP_TIMEOUT = 10.0
USERS = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\nnobody:x:65534:65534::/:/sbin/nologin\n"
GROUPS = "root:x:0:\nusers:x:100:\nnonroot:x:65532:\nnogroup:x:65534:\n"


def namespaces(spec, network=None):
    """Returns the command that runs a specification in its own namespaces, in the network of a service if one is given."""
    pathlib.Path(spec["root"]).mkdir(exist_ok=True)
    file = pathlib.Path(spec["root"] + ".json")
    file.write_text(json.dumps(spec))
    enter = [] if network is None else ["nsenter", f"--net=/run/netns/{network}"]
    return [*enter, "unshare", "--mount", "--pid", "--ipc", "--fork", sys.executable, INSIDE, str(file)]


def run_once(spec):
    subprocess.run(namespaces(spec), check=True)


def child_of(parent):
    """Returns the process that another process started. It is the first process of its namespace."""
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(file.read_text().rpartition(")")[2].split()[1]) == parent:
                return int(file.parent.name)
        except OSError:
            continue
    return None


class Container:
    """The container of a service, which can be started, killed and started again with one address."""

    def __init__(self, service, image, network, directory):
        self.service, self.image, self.network = service, image, network
        self.name, self.log, self.process = service.name, directory / f"{service.name}.log", None
        self.environment = {**image.environment, **service.environment}
        command = [*image.entrypoint, *(service.command or image.command)]
        volumes = [[self.source(directory, mount), mount.target, mount.read_only] for mount in service.mounts]
        self.spec = {
            "root": str(directory / self.name),
            "binds": [[str(file), path, True] for path, file in [*image.programs.items(), *self.libraries()]] + volumes,
            "directories": image.directories,
            "files": {"/etc/passwd": USERS, "/etc/group": GROUPS, "/etc/resolv.conf": "nameserver 127.0.0.11\n", "/etc/hosts": "127.0.0.1 localhost\n"},
            "links": image.links,
            "directory": image.directory,
            "user": image.user,
            "environment": self.environment,
            "command": command,
        }

    def source(self, directory, mount):
        """Returns the path of a mount on this machine. A volume is an empty directory of root at first."""
        if isinstance(mount.source, pathlib.Path):
            return str(mount.source)
        path = directory / f"volume-{mount.source}"
        path.mkdir()
        return str(path)

    def libraries(self):
        found = {path for program in self.image.programs.values() for _, path in libraries(program) if path}
        return [(path, path) for path in sorted(found)]

    async def start(self):
        self.network.up(self.name)
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(*namespaces(self.spec, self.name), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.first = await wait_until(f"{self.name} starts", lambda: self.ended() or child_of(self.process.pid))
        assert not self.ended(), f"{self.name} ended at once, with {self.process.returncode}: {self.text()[-2000:]}"
        return self

    def ended(self):
        return self.process.returncode is not None

    def text(self):
        return self.log.read_text(errors="replace")

    async def end(self, number):
        """Sends a signal to the first process. Returns the exit code, and the seconds until it ended."""
        start = time.monotonic()
        if not self.ended():
            os.kill(self.first, number)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                # The process can end by itself at this moment.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.first, signal.SIGKILL)
                await self.process.wait()
        self.network.down(self.name)
        return self.process.returncode, time.monotonic() - start

    async def kill(self):
        await self.end(signal.SIGKILL)

    async def stop(self):
        return await self.end(signal.Signals[self.image.stop_signal])

    async def is_healthy(self):
        """Runs the health check of the image, inside the container and as its user."""
        command, timeout = self.image.health
        user = str(self.image.user)
        enter = ["nsenter", "--target", str(self.first), "--mount", "--pid", "--ipc", "--net", "--root", "--wd", "--setuid", user, "--setgid", user]
        with open(self.log, "ab") as log:
            process = await asyncio.create_subprocess_exec(*enter, *command, env=self.environment, stdout=log, stderr=log)
        try:
            return await asyncio.wait_for(process.wait(), timeout) == 0
        except TimeoutError:
            process.kill()
            return False
