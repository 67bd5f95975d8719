"""Images, from which containers start. Images of other projects follow their Dockerfiles, with the programs of this machine
instead of theirs."""
import dataclasses
import pathlib
import re
import subprocess

NOBODY = 65534


@dataclasses.dataclass
class Image:
    """The content of an image. `directories` has the user and the mode of each directory that the program writes to."""
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
    # The command of the health check, and its time limit in seconds.
    health: tuple | None = None


def libraries(program):
    """Returns the names and paths of the libraries of a program. A static program has none."""
    result, found = subprocess.run(["ldd", program], capture_output=True, text=True), []
    for line in result.stdout.splitlines() if result.returncode == 0 else []:
        name, *rest = line.split()
        path = rest[1] if rest[:1] == ["=>"] else name
        found.append((pathlib.Path(name).name, path if path.startswith("/") else None))
    return found


def version(program, option):
    """Returns the version that a program prints."""
    result = subprocess.run([program, option], capture_output=True, text=True, check=True)
    return re.search(r"[0-9]+(\.[0-9]+)+", result.stdout + result.stderr)[0]


def nats(program):
    """The image of https://github.com/nats-io/nats-docker, scratch: only the program, run as root."""
    return Image(programs={"/nats-server": program}, entrypoint=["/nats-server"], command=["--config", "nats-server.conf"])


def nginx(program):
    """The image of https://github.com/nginx/docker-nginx: the main process runs as root, and the log is the output of the
    container. Our program needs its paths as arguments."""
    return Image(
        programs={"/usr/sbin/nginx": program},
        command=["/usr/sbin/nginx", "-p", "/var/cache/nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"],
        directories={"/var/cache/nginx": (0, 0o755)},
        links={"/var/cache/nginx/access.log": "/dev/stdout"},
        stop_signal="SIGQUIT",
    )


def prometheus(program):
    """The image of https://github.com/prometheus/prometheus: run as nobody."""
    return Image(
        programs={"/bin/prometheus": program},
        entrypoint=["/bin/prometheus"],
        command=["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        user=NOBODY,
        directory="/prometheus",
        directories={"/prometheus": (NOBODY, 0o755), "/etc/prometheus": (NOBODY, 0o755)},
    )


PUBLISHED = {"nats": (nats, "-v"), "nginx": (nginx, "-v"), "prom/prometheus": (prometheus, "--version")}


def published(name, programs, report):
    """Returns the substitute of a registry's image. The version of the program must be that of the tag, except for Prometheus,
    of which this machine has the version of its distribution."""
    repository, _, tag = name.partition(":")
    make, option = PUBLISHED[repository]
    found, wanted = version(programs[repository], option), tag.removeprefix("v")
    if found != wanted and not found.startswith(f"{wanted}."):
        assert repository == "prom/prometheus", f"{name}, but the program is of version {found}"
        report(f"{name}: replaced by version {found} of this machine")
    return make(programs[repository])
