"""A project: all services of one compose file, run together, asked and ended."""
import time
from http.client import HTTPException

from cluster.processes import LOCAL, until

from . import composition, image
from .container import Container
from .network import Network


def fetch(place, path, timeout=10):
    with LOCAL.open(f"http://{place}{path}", timeout=timeout) as response:
        return response.read()


class Project:
    """Containers by their services' names, in the order in which they are started."""

    def __init__(self, name, network):
        self.name, self.network, self.containers = name, network, {}

    @classmethod
    async def make(cls, file, dockerfile, programs, directory, say):
        """Builds what the file builds, and makes a container of each service."""
        name, services = composition.read(file)
        built = {}
        for service in services:
            if service.build:
                assert service.build.context == dockerfile.context, f"{service.name}: built of {service.build.context}"
                built[service.image or service.name] = dockerfile.image(service.build.target, service.build.args)
        project = cls(name, Network())
        (directory / name).mkdir()
        for service in services:
            chosen = built.get(service.image or service.name) or image.published(service.image, programs, say)
            await project.network.attach(service.name)
            project.containers[service.name] = Container(service, chosen, project.network, directory / name)
            for host, port in service.ports:
                await project.network.publish(host, service.name, port)
        say(f"{name}: {len(services)} services; built: {', '.join(built)}")
        return project

    def named(self, prefix):
        return [one for name, one in self.containers.items() if name.startswith(prefix)]

    def running(self):
        return [self.containers[name] for name in self.network.running]

    def address(self, container, port):
        return f"{self.network.addresses[container.name]}:{port}"

    async def start(self):
        for container in self.containers.values():
            await container.start()

    async def hold(self, what, is_so):
        """Waits until something is so, which all that were started must live to see; gives it and the seconds it took."""
        began = time.monotonic()

        async def is_so_now():
            for container in self.running():
                assert not container.ended(), f"{container.name} ended by itself, with {container.process.returncode}"
            try:
                return await is_so()
            except (OSError, ValueError, LookupError, HTTPException):
                return None

        return await until(what, is_so_now), time.monotonic() - began

    async def healthy(self, *containers):
        """Waits until each is as healthy as its image asks for."""
        began = time.monotonic()
        for container in containers or [one for one in self.containers.values() if one.image.health]:
            await self.hold(f"{container.name} is healthy", container.is_healthy)
        return time.monotonic() - began

    async def stop(self, say):
        """Stops all, the last first, each by its image's signal, and takes the network away."""
        for container in reversed(self.containers.values()):
            code, took = await container.stop()
            # What others make has codes of its own.
            assert code == 0 or not container.image.built, f"{container.name} ended with {code} after {took:.1f} s"
            if code:
                say(f"{container.name} ended with {code} after {took:.1f} s")
        self.network.close()
