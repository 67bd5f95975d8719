"""Containers: a service's program with the files, names, user and process number that an engine gives it."""
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from cluster.processes import until

from .image import libraries

INSIDE = str(pathlib.Path(__file__).with_name("inside.py"))
# How long an engine waits for a container that it stops, and the two users that images have beside root.
GRACE = 10.0
USERS = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\nnobody:x:65534:65534::/:/sbin/nologin\n"
GROUPS = "root:x:0:\nusers:x:100:\nnonroot:x:65532:\nnogroup:x:65534:\n"


def namespaces(told, network=None):
    """The command that runs what is told in namespaces of its own, in the network of a service or in none that leads out."""
    pathlib.Path(told["root"]).mkdir(exist_ok=True)
    file = pathlib.Path(told["root"] + ".json")
    file.write_text(json.dumps(told))
    enter = [] if network is None else ["nsenter", f"--net=/run/netns/{network}"]
    return [*enter, "unshare", "--mount", "--pid", "--ipc", "--fork", sys.executable, INSIDE, str(file)]


def run_once(told):
    subprocess.run(namespaces(told), check=True)


def child_of(parent):
    """The process that another one started, which is the first of its namespace."""
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(file.read_text().rpartition(")")[2].split()[1]) == parent:
                return int(file.parent.name)
        except OSError:
            continue
    return None


class Container:
    """A service's container: started, asked, killed and started again under one address."""

    def __init__(self, service, image, network, directory):
        self.service, self.image, self.network = service, image, network
        self.name, self.log, self.process = service.name, directory / f"{service.name}.log", None
        self.environment = {**image.environment, **service.environment}
        command = [*image.entrypoint, *(service.command or image.command)]
        volumes = [[self.source(directory, mount), mount.target, mount.read_only] for mount in service.mounts]
        self.told = {
            "root": str(directory / self.name),
            "binds": [[str(file), place, True] for place, file in [*image.programs.items(), *self.libraries()]] + volumes,
            "directories": image.directories,
            "files": {"/etc/passwd": USERS, "/etc/group": GROUPS, "/etc/resolv.conf": "nameserver 127.0.0.11\n", "/etc/hosts": "127.0.0.1 localhost\n"},
            "links": image.links,
            "directory": image.directory,
            "user": image.user,
            "environment": self.environment,
            "command": command,
        }

    def source(self, directory, mount):
        """A volume is an empty directory of root's at first."""
        if isinstance(mount.source, pathlib.Path):
            return str(mount.source)
        place = directory / f"volume-{mount.source}"
        place.mkdir()
        return str(place)

    def libraries(self):
        found = {path for program in self.image.programs.values() for _, path in libraries(program) if path}
        return [(path, path) for path in sorted(found)]

    async def start(self):
        self.network.up(self.name)
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(*namespaces(self.told, self.name), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.first = await until(f"{self.name} starts", lambda: self.ended() or child_of(self.process.pid))
        assert not self.ended(), f"{self.name} ended at once, with {self.process.returncode}: {self.text()[-2000:]}"
        return self

    def ended(self):
        return self.process.returncode is not None

    def text(self):
        return self.log.read_text(errors="replace")

    async def end(self, number):
        """Ends it by a signal to its first process; the code with which it ended, and the seconds that took."""
        began = time.monotonic()
        if not self.ended():
            os.kill(self.first, number)
            try:
                await asyncio.wait_for(self.process.wait(), GRACE)
            except TimeoutError:
                # It may end by itself just now.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.first, signal.SIGKILL)
                await self.process.wait()
        self.network.down(self.name)
        return self.process.returncode, time.monotonic() - began

    async def kill(self):
        await self.end(signal.SIGKILL)

    async def stop(self):
        return await self.end(signal.Signals[self.image.stop_signal])

    async def is_healthy(self):
        """Asks about its health as the image says, inside and as its user."""
        command, patience = self.image.health
        user = str(self.image.user)
        enter = ["nsenter", "--target", str(self.first), "--mount", "--pid", "--ipc", "--net", "--root", "--wd", "--setuid", user, "--setgid", user]
        with open(self.log, "ab") as log:
            process = await asyncio.create_subprocess_exec(*enter, *command, env=self.environment, stdout=log, stderr=log)
        try:
            return await asyncio.wait_for(process.wait(), patience) == 0
        except TimeoutError:
            process.kill()
            return False
