"""A compose file, read strictly: what is not known here is an error, so that nothing in the file goes untried."""
import dataclasses
import pathlib
import re

import yaml

TOP = {"name", "services", "volumes"}
SERVICE = {"build", "image", "pull_policy", "command", "environment", "depends_on", "volumes", "ports", "restart"}
BUILD = {"context", "target", "args"}
# Below a directory of a registry, or an official image, with a tag.
PULLED = re.compile(r"(?:[a-z0-9-]+/)?[a-z0-9-]+:v?[0-9][0-9.]*")


class Strict(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, as it is for Compose."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        names = [key.value for key, _ in node.value]
        assert len(set(names)) == len(names), f"a key is given twice{node.start_mark}"
        return node


@dataclasses.dataclass
class Build:
    context: pathlib.Path
    target: str
    args: dict


@dataclasses.dataclass
class Mount:
    """A file of the host, or a volume by its name, at a place in the container."""
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
    # Published: (address and port of the host, port of the container).
    ports: list
    restart: str | None


def known(what, mapping, keys):
    unknown = [key for key in mapping if key not in keys and not str(key).startswith("x-")]
    assert not unknown, f"{what}: {unknown} is not known here"


def texts(what, values):
    assert isinstance(values, list) and all(isinstance(one, str) for one in values), f"{what} is no list of texts: {values}"
    return values


def mount(directory, text, volumes):
    source, target, *mode = text.split(":")
    assert target.startswith("/") and mode in ([], ["ro"]), f"volume {text}"
    if source.startswith("."):
        file = (directory / source).resolve()
        # An engine makes a directory where there is none, and then fails to mount it over a file.
        assert file.is_file(), f"volume {text}: no file {file}"
        return Mount(file, target, mode == ["ro"])
    assert source in volumes, f"volume {text}: {source} is not among the volumes of the file"
    return Mount(source, target, mode == ["ro"])


def port(text):
    assert isinstance(text, str), f"port {text}: YAML takes some of these for numbers unless they are quoted"
    shape = re.fullmatch(r"(127\.0\.0\.1):(\d+):(\d+)", text)
    assert shape, f"port {text}: not published to this machine alone"
    return (shape[1], int(shape[2])), int(shape[3])


def build(directory, what, told):
    known(f"{what}: build", told, BUILD)
    args = told.get("args", {})
    assert all(isinstance(value, str) for value in args.values()), f"{what}: args {args}"
    return Build((directory / told["context"]).resolve(), told["target"], args)


def service(directory, name, told, volumes):
    known(name, told, SERVICE)
    assert told.get("restart") in ("always", None), f"{name}: restart {told['restart']}"
    environment = told.get("environment", {})
    assert isinstance(environment, dict) and all(isinstance(value, str) for value in environment.values()), f"{name}: {environment}"
    return Service(
        name,
        told.get("image"),
        build(directory, name, told["build"]) if "build" in told else None,
        told.get("pull_policy"),
        texts(f"{name}: command", told["command"]) if "command" in told else None,
        environment,
        texts(f"{name}: depends_on", told.get("depends_on", [])),
        [mount(directory, text, volumes) for text in texts(f"{name}: volumes", told.get("volumes", []))],
        [port(text) for text in told.get("ports", [])],
        told.get("restart"),
    )


def images(services):
    """Holds that every image can be had, and that none is built twice: builds run side by side, and on an engine that has
    none of the name yet the second fails to store its own ("already exists")."""
    builders = {}
    for one in services.values():
        if one.build and one.image:
            other = builders.setdefault(one.image, one)
            assert other is one, f"{one.name} and {other.name} both build {one.image}"
    for one in services.values():
        assert one.build or one.image, f"{one.name} has no image"
        if not one.build and one.image in builders:
            assert one.pull_policy == "never", f"{one.name}: {one.image} would be looked for in a registry before it is built"
        elif not one.build:
            assert PULLED.fullmatch(one.image) and not one.pull_policy, f"{one.name}: {one.image} is built by nobody"


def in_order(services):
    """Services in the file's order, each after those that it depends on."""
    order = []

    def add(name, asking):
        assert name in services, f"{asking[-1]} depends on {name}, which is no service"
        assert name not in asking, f"{name} depends on itself"
        if services[name] in order:
            return
        for other in services[name].depends_on:
            add(other, [*asking, name])
        order.append(services[name])

    for name in services:
        add(name, [])
    return order


def read(file):
    """The name of the project and its services, in the order in which they are started."""
    told = yaml.load(file.read_text(), Strict)
    known(file.name, told, TOP)
    volumes = told.get("volumes", {})
    assert all(options is None for options in volumes.values()), f"volumes: {volumes}"
    services = {name: service(file.parent, name, one, volumes) for name, one in told["services"].items()}
    used = {mount.source for one in services.values() for mount in one.mounts}
    assert set(volumes) <= used, f"volumes that nobody uses: {set(volumes) - used}"
    published = [host for one in services.values() for host, _ in one.ports]
    assert len(set(published)) == len(published), f"ports that are published twice: {published}"
    images(services)
    return told.get("name", file.parent.name), in_order(services)
