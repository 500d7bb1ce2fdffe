"""The machine: what it is, its page cache, and the memory of processes. Linux."""

import os
import platform
import subprocess
import time
from pathlib import Path


def cores():
    return len(os.sched_getaffinity(0))


def about(folder):
    cpu = [line.split(":", 1)[1].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next(int(line.split()[1]) for line in lines("/proc/meminfo") if line.startswith("MemTotal"))
    disk = os.statvfs(folder)
    return {
        "cores": cores(),
        "cpu": cpu[0] if cpu else platform.processor(),
        "memory_gib": round(memory / 2**20, 1),
        "disk_free_gib": round(disk.f_bavail * disk.f_frsize / 2**30, 1),
        "file_system": file_system(folder),
        "kernel": platform.release(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def lines(path):
    return Path(path).read_text().splitlines()


def file_system(folder):
    """The kind of the file system of a folder: that of the longest mount point above it."""
    mounts = [line.split()[1:3] for line in lines("/proc/mounts")]
    above = [(len(point), kind) for point, kind in mounts if Path(folder).resolve().is_relative_to(point)]
    return max(above)[1]


def versions(program, python, here):
    def said(*command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=here, text=True)
        return done.stdout.strip() if done.returncode == 0 else "unknown"

    show = "from importlib.metadata import version; print(*(version(p) for p in ('chdb', 'duckdb', 'numpy')))"
    chdb, duckdb, numpy = said(python, "-c", show).split()
    manifest = (here / "../../Cargo.toml").read_text()
    ours = next(line.split('"')[1] for line in manifest.splitlines() if line.startswith("version"))
    commit, changed = said("git", "rev-parse", "--short", "HEAD"), said("git", "status", "--porcelain")
    return {
        "journeylog": f"{ours} ({commit}{', changed' if changed else ''})",
        "rustc": said("rustc", "--version").split()[1],
        "python": platform.python_version(),
        "chdb": chdb,
        "duckdb": duckdb,
        "numpy": numpy,
        "sqlite": said(program, "sqlite-version"),
    }


def files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def size(folder):
    """Bytes that a folder takes on disk: in its files, and in blocks, where holes take nothing."""
    stats = [path.stat() for path in files(folder)]
    return {"bytes": sum(s.st_size for s in stats), "allocated": sum(s.st_blocks * 512 for s in stats)}


def forget(folder):
    """Drops a folder's files from the page cache; says how."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return "page cache dropped"
    except OSError:
        # Only root may do that. Synced pages of files that nobody has mapped can be dropped file by file.
        for path in files(folder):
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)
        return "each file dropped from the page cache by posix_fadvise"


def memory(process):
    """Resident memory of a process, now and at its peak, in bytes."""
    said = dict(line.split(":", 1) for line in lines(f"/proc/{process}/status"))
    return {"now": int(said["VmRSS"].split()[0]) * 1024, "peak": int(said["VmHWM"].split()[0]) * 1024}


def forget_peak(process):
    Path(f"/proc/{process}/clear_refs").write_text("5")
