"""Becomes a container's first process: makes the file system that its image and its volumes make, and nothing else, then
runs its program as its user. The only argument is a JSON file; runs in a mount and a process namespace of its own."""
import ctypes
import json
import os
import pathlib
import sys

READ_ONLY, REMOUNT, BIND, RECURSIVE = 1, 32, 4096, 16384
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0, data=None):
    words = [None if word is None else str(word).encode() for word in (source, target, kind, data)]
    if LIBC.mount(words[0], words[1], words[2], flags, words[3]):
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


def file_system(root, told):
    mount("tmpfs", root, "tmpfs", data="mode=755")
    for path, (uid, mode) in {"/tmp": (0, 0o1777), "/proc": (0, 0o555), "/dev": (0, 0o755), "/etc": (0, 0o755), **told["directories"]}.items():
        place = root / path[1:]
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(mode)
        os.chown(place, uid, uid)
    for name in ("null", "zero", "full", "random", "urandom"):
        bind(pathlib.Path("/dev", name), root / "dev" / name, False)
    mount("proc", root / "proc", "proc")
    for source, target, read_only in told["binds"]:
        bind(pathlib.Path(source), root / target[1:], read_only)
    for path, text in told["files"].items():
        (root / path[1:]).write_text(text)
    for path, target in {"/dev/fd": "/proc/self/fd", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2", **told["links"]}.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).symlink_to(target)


def main():
    told = json.loads(pathlib.Path(sys.argv[1]).read_text())
    file_system(pathlib.Path(told["root"]), told)
    os.chroot(told["root"])
    os.chdir(told["directory"])
    os.umask(0o022)
    os.setgroups([])
    os.setgid(told["user"])
    os.setuid(told["user"])
    os.execve(told["command"][0], told["command"], told["environment"])


main()
