"""A project: the running services of one compose file."""
import time
from http.client import HTTPException

from cluster.processes import LOCAL, wait_until

from . import composition, image
from .container import Container
from .network import Network


def fetch(address, path, timeout=10):
    with LOCAL.open(f"http://{address}{path}", timeout=timeout) as response:
        return response.read()


class Project:
    """The containers by the names of their services, in the order in which they are started."""

    def __init__(self, name, network):
        self.name, self.network, self.containers = name, network, {}

    @classmethod
    async def make(cls, file, dockerfile, programs, directory, report):
        """Builds the images of the file, and creates a container for each service."""
        name, services = composition.read(file)
        built = {}
        for service in services:
            if service.build:
                assert service.build.context == dockerfile.context, f"{service.name}: built from {service.build.context}"
                built[service.image or service.name] = dockerfile.image(service.build.target, service.build.args)
        project = cls(name, Network())
        (directory / name).mkdir()
        for service in services:
            chosen = built.get(service.image or service.name) or image.published(service.image, programs, report)
            await project.network.attach(service.name)
            project.containers[service.name] = Container(service, chosen, project.network, directory / name)
            for host, port in service.ports:
                await project.network.publish(host, service.name, port)
        report(f"{name}: {len(services)} services; built: {', '.join(built)}")
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

    async def wait_for(self, name, condition):
        """Waits until a condition returns a true value. Fails if a container ends meanwhile. Returns the value and the seconds
        it took."""
        start = time.monotonic()

        async def checked_condition():
            for container in self.running():
                assert not container.ended(), f"{container.name} ended by itself, with {container.process.returncode}"
            try:
                return await condition()
            except (OSError, ValueError, LookupError, HTTPException):
                return None

        return await wait_until(name, checked_condition), time.monotonic() - start

    async def wait_until_healthy(self, *containers):
        """Waits until the health check of each container succeeds."""
        start = time.monotonic()
        for container in containers or [one for one in self.containers.values() if one.image.health]:
            await self.wait_for(f"{container.name} is healthy", container.is_healthy)
        return time.monotonic() - start

    async def stop(self, report):
        """Stops all containers in reverse order, each with the signal of its image, and removes the network."""
        for container in reversed(self.containers.values()):
            code, took = await container.stop()
            # The programs of other projects have other exit codes.
            assert code == 0 or not container.image.built, f"{container.name} ended with {code} after {took:.1f} s"
            if code:
                report(f"{container.name} ended with {code} after {took:.1f} s")
        self.network.close()
