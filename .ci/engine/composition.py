"""A strict parser of compose files: an unsupported key is an error, so that every line of the file is tested."""
import dataclasses
import pathlib
import re

import yaml

TOP = {"name", "services", "volumes"}
SERVICE = {"build", "image", "pull_policy", "command", "environment", "depends_on", "volumes", "ports", "restart"}
BUILD = {"context", "target", "args"}
# An image of a registry with a tag: an official one, or one in a directory.
PULLED = re.compile(r"(?:[a-z0-9-]+/)?[a-z0-9-]+:v?[0-9][0-9.]*")


class Strict(yaml.SafeLoader):
    """YAML in which a repeated key is an error, as it is for Compose."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        names = [key.value for key, _ in node.value]
        assert len(set(names)) == len(names), f"a key is repeated{node.start_mark}"
        return node


@dataclasses.dataclass
class Build:
    context: pathlib.Path
    target: str
    args: dict


@dataclasses.dataclass
class Mount:
    """A file of the host, or a named volume, at a path in the container."""
    source: pathlib.Path | str
    target: str
    read_only: bool


@dataclasses.dataclass
class Service:
    name: str
    image: str | None
    build: Build | None
    pull_policy: str | None
    command: list | None
    environment: dict
    depends_on: list
    mounts: list
    # The published ports: (address and port of the host, port of the container).
    ports: list
    restart: str | None


def check_keys(name, mapping, keys):
    unknown = [key for key in mapping if key not in keys and not str(key).startswith("x-")]
    assert not unknown, f"{name}: {unknown} is not supported"


def strings(name, values):
    assert isinstance(values, list) and all(isinstance(one, str) for one in values), f"{name} is not a list of strings: {values}"
    return values


def mount(directory, text, volumes):
    source, target, *mode = text.split(":")
    assert target.startswith("/") and mode in ([], ["ro"]), f"volume {text}"
    if source.startswith("."):
        file = (directory / source).resolve()
        # If the file does not exist, an engine creates a directory, and then fails to mount the directory over a file.
        assert file.is_file(), f"volume {text}: no file {file}"
        return Mount(file, target, mode == ["ro"])
    assert source in volumes, f"volume {text}: the file does not declare the volume {source}"
    return Mount(source, target, mode == ["ro"])


def port(text):
    assert isinstance(text, str), f"port {text}: quote it, because YAML reads some ports as numbers"
    shape = re.fullmatch(r"(127\.0\.0\.1):(\d+):(\d+)", text)
    assert shape, f"port {text}: it must be published to this machine only"
    return (shape[1], int(shape[2])), int(shape[3])


def build(directory, name, spec):
    check_keys(f"{name}: build", spec, BUILD)
    args = spec.get("args", {})
    assert all(isinstance(value, str) for value in args.values()), f"{name}: args {args}"
    return Build((directory / spec["context"]).resolve(), spec["target"], args)


def service(directory, name, spec, volumes):
    check_keys(name, spec, SERVICE)
    assert spec.get("restart") in ("always", None), f"{name}: restart {spec['restart']}"
    environment = spec.get("environment", {})
    assert isinstance(environment, dict) and all(isinstance(value, str) for value in environment.values()), f"{name}: {environment}"
    return Service(
        name,
        spec.get("image"),
        build(directory, name, spec["build"]) if "build" in spec else None,
        spec.get("pull_policy"),
        strings(f"{name}: command", spec["command"]) if "command" in spec else None,
        environment,
        strings(f"{name}: depends_on", spec.get("depends_on", [])),
        [mount(directory, text, volumes) for text in strings(f"{name}: volumes", spec.get("volumes", []))],
        [port(text) for text in spec.get("ports", [])],
        spec.get("restart"),
    )


def images(services):
    """Checks that every image is available, and that no image is built twice. Builds run concurrently. If an engine has no
    image with a name yet, the second build with this name fails ("already exists")."""
    builders = {}
    for one in services.values():
        if one.build and one.image:
            other = builders.setdefault(one.image, one)
            assert other is one, f"{one.name} and {other.name} both build {one.image}"
    for one in services.values():
        assert one.build or one.image, f"{one.name} has no image"
        if not one.build and one.image in builders:
            assert one.pull_policy == "never", f"{one.name}: {one.image} would be pulled from a registry before it is built"
        elif not one.build:
            assert PULLED.fullmatch(one.image) and not one.pull_policy, f"{one.name}: no service builds {one.image}"


def in_order(services):
    """Returns the services in the order of the file, each after its dependencies."""
    order = []

    def add(name, dependents):
        assert name in services, f"{dependents[-1]} depends on {name}, which is not a service"
        assert name not in dependents, f"{name} depends on itself"
        if services[name] in order:
            return
        for other in services[name].depends_on:
            add(other, [*dependents, name])
        order.append(services[name])

    for name in services:
        add(name, [])
    return order


def read(file):
    """Returns the name of the project and its services, in the order in which they are started."""
    spec = yaml.load(file.read_text(), Strict)
    check_keys(file.name, spec, TOP)
    volumes = spec.get("volumes", {})
    assert all(options is None for options in volumes.values()), f"volumes: {volumes}"
    services = {name: service(file.parent, name, one, volumes) for name, one in spec["services"].items()}
    used = {mount.source for one in services.values() for mount in one.mounts}
    assert set(volumes) <= used, f"volumes that no service uses: {set(volumes) - used}"
    published = [host for one in services.values() for host, _ in one.ports]
    assert len(set(published)) == len(published), f"ports that are published twice: {published}"
    images(services)
    return spec.get("name", file.parent.name), in_order(services)
