#!/usr/bin/env python3
"""Cuts the power of a real file system. Needs root, loop devices and ext4; takes some minutes:

    sudo tests/power/cut.py            # or with a number: so many cuts of each kind
    sudo TMPDIR=/dev/shm tests/power/cut.py                  # faster

A store lies on ext4 in an image behind a loop device, and the child of tests/crash works on it. At a random moment the
child is stopped and the image is copied: that is all the device was ever given, since what the file system has in memory
is not in it. The copy is mounted, which replays ext4's journal as after a power cut, and the store is opened with the
ordinary code and compared with what the child had said before. Then the child goes on with the copy.

The controls show that harm can be seen: sled alone, flushed but not synced, must lose something; synced, it must not.
What `buffered` appends acknowledged may be lost, but the store must open, with no batch half there.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

KINDS = ["append", "batch", "seal", "settle", "compact", "erase", "open"]
# After so many cuts a store is begun anew.
CUTS_OF_A_STORE = 5
SIZE = "200M"


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, **options)


def build():
    """The test program, whose children these are."""
    command = ["cargo", "test", "--test", "crash", "--no-run", "--message-format=json"]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent).stdout
    built = [json.loads(line) for line in out.splitlines()]
    return next(m["executable"] for m in built if m.get("executable") and m["target"]["name"] == "crash")


class Image:
    """A file system in a file."""

    def __init__(self, folder):
        self.file, self.copy, self.at = folder / "image", folder / "copy", folder / "mounted"
        self.at.mkdir(exist_ok=True)

    def make(self):
        self.file.unlink(missing_ok=True)
        run("truncate", "-s", SIZE, self.file)
        run("mkfs.ext4", "-q", "-F", self.file)

    def mount(self):
        run("mount", "-o", "loop", self.file, self.at)

    def unmount(self):
        run("umount", self.at)

    def take(self):
        """Copies what the device was given, until nothing was written meanwhile."""
        for _ in range(20):
            run("cp", "--sparse=always", self.file, self.copy)
            if subprocess.run(["cmp", "-s", self.file, self.copy]).returncode == 0:
                return
        sys.exit("the image never comes to rest")

    def cut(self):
        """What was taken is all that is left."""
        self.copy.replace(self.file)


def work_until_cut(image, command):
    """Lets a child work for a while, cuts its power, and gives what it had said."""
    image.mount()
    lines = []
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    listener = threading.Thread(target=lambda: lines.extend(child.stdout))
    listener.start()
    time.sleep(random.choice([random.uniform(0, 0.1), random.uniform(0.1, 1), random.uniform(1, 6)]))
    if child.poll() is not None:
        image.unmount()
        sys.exit(f"the child ended by itself: {command}")
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    image.take()
    child.kill()
    child.wait()
    listener.join()
    image.unmount()
    image.cut()
    return [line for line in lines if line.endswith("\n")]


def check(image, command, said):
    """Opens what is left, and gives whether all is well, and what was found."""
    image.mount()
    try:
        env = dict(os.environ, RUST_BACKTRACE="0")
        done = subprocess.run(
            [str(part) for part in command], input="".join(said), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, timeout=300, env=env,
        )
    finally:
        image.unmount()
    text = done.stdout if done.returncode == 0 else done.stderr
    return done.returncode == 0, text.strip().replace("\n", " ")[-300:]


def cut_store(program, image, kind, durability, cuts):
    harmed, said, found, acknowledged = [], [], "", 0
    for number in range(cuts):
        if number % CUTS_OF_A_STORE == 0:
            image.make()
            said = []
        store = image.at / "store"
        tried = [line.split() for line in said if line.startswith("try append")]
        following = int(tried[-1][2]) + int(tried[-1][3]) if tried else 0
        seed = random.randrange(1 << 30)
        said += work_until_cut(image, [program, "--child", store, kind, durability, seed, following])
        is_well, found = check(image, [program, "--check", store, kind, durability], said)
        if is_well:
            acknowledged += int(found.split()[3])
        else:
            harmed.append(found)
            image.make()
            said = []
    print(f"{durability} {kind}: {cuts} cuts, {len(harmed)} with harm; the last: {found}; {acknowledged} in all")
    for what in harmed:
        print("   ", what)
    sys.stdout.flush()
    return len(harmed)


def cut_plain(program, image, how, cuts):
    harmed = 0
    for _ in range(cuts):
        image.make()
        said = work_until_cut(image, [program, "--plain", image.at / "log", how])
        is_well, _ = check(image, [program, "--check-plain", image.at / "log"], said)
        harmed += not is_well
    print(f"sled alone, {how}: {cuts} cuts, {harmed} with harm", flush=True)
    return harmed


def main():
    cuts = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    seed = random.randrange(1 << 30)
    random.seed(seed)
    harmed = 0
    with tempfile.TemporaryDirectory() as folder:
        # So that it stays as it is while others build.
        program = shutil.copy(build(), folder)
        image = Image(Path(folder))
        for kind in KINDS:
            harmed += cut_store(program, image, kind, "synced", cuts)
        for kind in KINDS:
            harmed += cut_store(program, image, kind, "buffered", max(cuts // 2, 1))
        harmed += cut_plain(program, image, "synced", cuts)
        lost = cut_plain(program, image, "flushed", cuts)
    if lost == 0:
        sys.exit("the control lost nothing: these cuts show nothing")
    if harmed:
        sys.exit(f"{harmed} cuts did harm")


if __name__ == "__main__":
    main()
