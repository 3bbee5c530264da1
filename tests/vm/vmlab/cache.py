# SPDX-License-Identifier: LGPL-2.1-or-later
"""Built things that are worth keeping, each under a name that says what it was built from.

A cached thing is a file or directory whose name ends in a hash over its recipe. It is built under a
temporary name and renamed when it is complete, so that an interrupted build leaves nothing that looks
finished, and two runs at once build it once (the second waits for the lock).
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]


class LabError(Exception):
    """The lab itself is at fault or lacks something; the message is for the person who runs it."""


def cache_dir():
    path = Path(os.environ.get("VERGE_VM_CACHE") or REPO / ".vm-cache").resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts):
    """Twelve hex digits over strings, bytes, files (their content) and lists of those."""
    sha = hashlib.sha256()

    def feed(part):
        if isinstance(part, Path):
            feed(part.name)
            feed(part.read_bytes())
        elif isinstance(part, (list, tuple)):
            feed(f"[{len(part)}]")
            for item in part:
                feed(item)
        else:
            data = part if isinstance(part, bytes) else str(part).encode()
            sha.update(b"%d:" % len(data) + data)

    feed(parts)
    return sha.hexdigest()[:12]


def say(text):
    """A line for the person who waits; stderr, so that results on stdout stay clean."""
    print(f"# {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(what, every=10.0):
    """Says that a step begins, that it still runs, and how long it took."""
    begin = time.monotonic()
    done = threading.Event()

    def tick():
        while not done.wait(every):
            say(f"{what}: {time.monotonic() - begin:.0f} s so far")

    say(f"{what} ...")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"{what}: failed after {time.monotonic() - begin:.1f} s")
        raise
    else:
        say(f"{what}: done in {time.monotonic() - begin:.1f} s")
    finally:
        done.set()
        ticker.join()


def need(*programs):
    """Fails with one sentence that names every missing program."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in programs if not shutil.which(name, path=path)]
    if missing:
        raise LabError(f"missing on this machine: {', '.join(missing)} (see tests/vm/README.md for the packages)")


def tool(argv, **kwargs):
    """Runs a host program quietly; its output appears in the error when it fails."""
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin", LC_ALL="C.UTF-8")
    argv = [str(arg) for arg in argv]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", env=environment, **kwargs)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise LabError(f"{argv[0]} failed with exit code {done.returncode}:\n{tail}")
    return done.stdout


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def cached(name, key, build, suffix=""):
    """The path of `name-key`; if it is not there, build(temporary path) makes it first.

    Older things of the same name (another key) are removed: their recipe is history.
    """
    directory = cache_dir()
    final = directory / f"{name}-{key}{suffix}"
    if final.exists():
        return final

    with open(directory / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.exists():
            return final
        temporary = directory / f".{name}.building{suffix}"
        remove(temporary)
        try:
            build(temporary)
            os.rename(temporary, final)
        except BaseException:
            remove(temporary)
            raise
        for old in directory.glob(f"{name}-{'?' * 12}{suffix}"):
            if old != final:
                remove(old)
    return final


def make_erofs(target, tree, *options):
    """A read-only image of a directory, not compressed: under emulation unpacking costs more than reading."""
    need("mkfs.erofs")
    tool(["mkfs.erofs", "--quiet", *options, target, tree])
