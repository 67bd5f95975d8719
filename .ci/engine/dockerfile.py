"""A strict parser of Dockerfiles, and their builds: the commands of the file run on its build context, in a container."""
import json
import os
import pathlib
import re
import shutil
import subprocess

from .container import run_once
from .image import Image, libraries

KNOWN = {"WORKDIR", "COPY", "ARG", "RUN", "EXPOSE", "STOPSIGNAL", "ENV", "HEALTHCHECK", "ENTRYPOINT"}
# The content of the distroless image: https://github.com/GoogleContainerTools/distroless
DISTROLESS, NONROOT = "gcr.io/distroless/cc-debian12:nonroot", 65532
LIBRARIES = {"linux-vdso", "ld-linux-x86-64", "libc", "libm", "libgcc_s", "libdl", "libpthread", "librt", "libstdc++", "libssl", "libcrypto"}
# The dev profile instead of --release, which takes minutes and is built by another test.
PROFILE = {"--release": "--profile dev", "target/release/": "target/debug/"}


def instructions(text):
    """Yields each instruction and its arguments. Lines that end in a backslash are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            yield keyword, rest.strip()


def ignores(patterns, path):
    """Returns true if the build context excludes a path or a directory above it."""
    for pattern in patterns:
        assert not pattern.startswith("!"), f".dockerignore: {pattern} is not supported"
        expression = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{expression}(/.*)?", path):
            return True
    return False


def copy_context(context, place):
    """Copies the build context of a fresh clone. Modification times are preserved, so that unchanged files are not built again."""
    patterns = [line.strip() for line in (context / ".dockerignore").read_text().splitlines() if line.strip() and not line.startswith("#")]
    clone = subprocess.check_output(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=context, text=True).split("\0")
    for path in clone:
        if path and (context / path).is_file() and not ignores(patterns, path):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(context / path, place / path)


class Dockerfile:
    """The stages of a Dockerfile, and the images that were built from them."""

    def __init__(self, context, work):
        self.context, self.work, self.stages, self.built = context, work, {}, {}
        metadata = subprocess.check_output(["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"], cwd=context)
        self.target = json.loads(metadata)["target_directory"]
        for keyword, rest in instructions((context / "Dockerfile").read_text()):
            if keyword == "FROM":
                base, _, name = rest.partition(" AS ")
                assert name, f"FROM {rest}: a stage without a name"
                self.stages[name] = stage = [("FROM", base)]
            else:
                assert keyword in KNOWN, f"Dockerfile: {keyword} is not supported"
                stage.append((keyword, rest))
        self.sources = work / "context"
        copy_context(context, self.sources)

    def image(self, target, args):
        """Builds a stage, and returns its image."""
        (_, base), *stage = self.stages[target]
        assert base == DISTROLESS, f"{target} is FROM {base}"
        paths = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
        image = Image(command=[], built=True, environment=paths, user=NONROOT, directory="/home/nonroot", directories={"/home/nonroot": (NONROOT, 0o700)})
        for keyword, rest in stage:
            if keyword == "COPY":
                option, source, place = rest.split()
                output = self.run(option.removeprefix("--from="), args)
                image.programs[place] = program = output / source.removeprefix("/out/")
                needs = {name.split(".so")[0].removeprefix("lib") for name, _ in libraries(program)}
                lacks = needs - {name.removeprefix("lib") for name in LIBRARIES}
                assert not lacks, f"{target}: {place} needs {lacks}, which {base} lacks"
            elif keyword == "ENV":
                name, _, value = rest.partition("=")
                image.environment[name] = value
            elif keyword == "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            elif keyword == "STOPSIGNAL":
                image.stop_signal = rest
            elif keyword == "HEALTHCHECK":
                options, _, command = rest.partition(" CMD ")
                image.health = json.loads(command), float(re.search(r"--timeout=(\d+)s", options)[1])
            else:
                assert keyword == "EXPOSE", f"{target}: {keyword}"
        return image

    def run(self, name, args):
        """Runs the commands of a build stage. Returns the directory with the content of /out."""
        key = "-".join([name, *args.values()])
        if key in self.built:
            return self.built[key]
        output = self.built[key] = self.work / key
        output.mkdir()
        (_, base), *stage = self.stages[name]
        (_, rust), *source = self.stages[base]
        assert rust.startswith("rust:") and rust.endswith("-bookworm"), f"{base} is FROM {rust}, and {DISTROLESS} is bookworm"
        assert source == [("WORKDIR", "/candle"), ("COPY", ". .")], f"{base}: {source}"
        declared = dict(rest.split("=") for keyword, rest in stage if keyword == "ARG")
        assert set(args) <= set(declared), f"{name} has no ARG for {set(args) - set(declared)}"
        environment = {variable: value.strip('"') for variable, value in declared.items()} | args
        for keyword, rest in stage:
            if keyword == "RUN":
                mounts = re.findall(r"--mount=type=cache,target=(\S+),sharing=locked", rest)
                assert mounts == ["/usr/local/cargo/registry", "/candle/target"], f"{name}: {mounts}"
                command = rest[rest.rindex("sharing=locked") + len("sharing=locked") :]
                for release, dev in PROFILE.items():
                    command = command.replace(release, dev)
                run_once(self.toolchain(name, command, environment, output))
            else:
                assert keyword == "ARG", f"{name}: {keyword}"
        return output

    def toolchain(self, name, command, environment, output):
        """Returns a container with the compiler and the registry of this machine, at the same paths. So packages that other
        steps have built are not built again."""
        sysroot = subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip()
        cargo = os.environ.get("CARGO_HOME", str(pathlib.Path.home() / ".cargo"))
        # A machine can use another registry instead of the public one.
        settings = [[str(file), str(file), True] for file in pathlib.Path(cargo).glob("config.toml")]
        return {
            "root": str(self.work / "root"),
            "binds": [
                ["/usr", "/usr", True],
                ["/etc/alternatives", "/etc/alternatives", True],
                [sysroot, sysroot, True],
                [f"{cargo}/registry", f"{cargo}/registry", False],
                [str(self.sources), "/candle", False],
                [str(self.target), "/candle/target", False],
                [str(output), "/out", False],
                *settings,
            ],
            "directories": {"/candle": (0, 0o755)},
            "files": {},
            "links": {name: f"usr{name}" for name in ("/bin", "/lib", "/lib64", "/sbin")},
            "directory": "/candle",
            "user": 0,
            "environment": {"PATH": f"{sysroot}/bin:/usr/bin:/bin", "CARGO_HOME": cargo, "CARGO_NET_OFFLINE": "true", **environment},
            "command": ["/bin/sh", "-c", command],
        }
