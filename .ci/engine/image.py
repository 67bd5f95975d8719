"""Images: what a container starts with. Those that others make are as their Dockerfiles say, with programs of this machine
in place of theirs."""
import dataclasses
import pathlib
import re
import subprocess

NOBODY = 65534


@dataclasses.dataclass
class Image:
    """What a container starts with. `directories` are those that its program writes to: user and mode of each."""
    command: list
    entrypoint: list = dataclasses.field(default_factory=list)
    programs: dict = dataclasses.field(default_factory=dict)
    environment: dict = dataclasses.field(default_factory=dict)
    user: int = 0
    directory: str = "/"
    directories: dict = dataclasses.field(default_factory=dict)
    links: dict = dataclasses.field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    built: bool = False
    # What asks about its health, and within how many seconds that must have answered.
    health: tuple | None = None


def libraries(program):
    """The libraries that a program is linked with: their names and where they are; none for one that is static."""
    told, found = subprocess.run(["ldd", program], capture_output=True, text=True), []
    for line in told.stdout.splitlines() if told.returncode == 0 else []:
        name, *rest = line.split()
        path = rest[1] if rest[:1] == ["=>"] else name
        found.append((pathlib.Path(name).name, path if path.startswith("/") else None))
    return found


def version(program, option):
    """What a program says of its version."""
    told = subprocess.run([program, option], capture_output=True, text=True, check=True)
    return re.search(r"[0-9]+(\.[0-9]+)+", told.stdout + told.stderr)[0]


def nats(program):
    """https://github.com/nats-io/nats-docker, scratch: only the program, run as root."""
    return Image(programs={"/nats-server": program}, entrypoint=["/nats-server"], command=["--config", "nats-server.conf"])


def nginx(program):
    """https://github.com/nginx/docker-nginx: master as root, logs to the container's. Its program knows its own paths; ours
    is told them."""
    return Image(
        programs={"/usr/sbin/nginx": program},
        command=["/usr/sbin/nginx", "-p", "/var/cache/nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"],
        directories={"/var/cache/nginx": (0, 0o755)},
        links={"/var/cache/nginx/access.log": "/dev/stdout"},
        stop_signal="SIGQUIT",
    )


def prometheus(program):
    """https://github.com/prometheus/prometheus: run as nobody."""
    return Image(
        programs={"/bin/prometheus": program},
        entrypoint=["/bin/prometheus"],
        command=["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        user=NOBODY,
        directory="/prometheus",
        directories={"/prometheus": (NOBODY, 0o755), "/etc/prometheus": (NOBODY, 0o755)},
    )


PUBLISHED = {"nats": (nats, "-v"), "nginx": (nginx, "-v"), "prom/prometheus": (prometheus, "--version")}


def published(name, programs, say):
    """An image of a registry, of which there is none here: what its program says of its version is what the tag says, but
    for Prometheus, of which this machine has what its system has."""
    repository, _, tag = name.partition(":")
    make, option = PUBLISHED[repository]
    found, wanted = version(programs[repository], option), tag.removeprefix("v")
    if found != wanted and not found.startswith(f"{wanted}."):
        assert repository == "prom/prometheus", f"{name}, but the program is of version {found}"
        say(f"{name}: in its place this machine's, {found}")
    return make(programs[repository])
