"""Becomes the first process of a container: creates a file system of the image and the volumes only, and then runs the program
as its user. The argument is a JSON file. Must run in its own mount and process namespaces."""
import ctypes
import json
import os
import pathlib
import sys

READ_ONLY, REMOUNT, BIND, RECURSIVE = 1, 32, 4096, 16384
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0, data=None):
    arguments = [None if argument is None else str(argument).encode() for argument in (source, target, kind, data)]
    if LIBC.mount(arguments[0], arguments[1], arguments[2], flags, arguments[3]):
        raise OSError(ctypes.get_errno(), f"mount {source} at {target}")


def bind(source, target, read_only):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount(source, target, flags=BIND | RECURSIVE)
    if read_only:
        mount(None, target, flags=BIND | REMOUNT | READ_ONLY)


def file_system(root, spec):
    mount("tmpfs", root, "tmpfs", data="mode=755")
    for path, (uid, mode) in {"/tmp": (0, 0o1777), "/proc": (0, 0o555), "/dev": (0, 0o755), "/etc": (0, 0o755), **spec["directories"]}.items():
        directory = root / path[1:]
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(mode)
        os.chown(directory, uid, uid)
    for name in ("null", "zero", "full", "random", "urandom"):
        bind(pathlib.Path("/dev", name), root / "dev" / name, False)
    mount("proc", root / "proc", "proc")
    for source, target, read_only in spec["binds"]:
        bind(pathlib.Path(source), root / target[1:], read_only)
    for path, text in spec["files"].items():
        (root / path[1:]).write_text(text)
    for path, target in {"/dev/fd": "/proc/self/fd", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2", **spec["links"]}.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).symlink_to(target)


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    file_system(pathlib.Path(spec["root"]), spec)
    os.chroot(spec["root"])
    os.chdir(spec["directory"])
    os.umask(0o022)
    os.setgroups([])
    os.setgid(spec["user"])
    os.setuid(spec["user"])
    os.execve(spec["command"][0], spec["command"], spec["environment"])


main()
