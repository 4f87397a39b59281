"""Whether a folder is on a network file system, where SQLite's write-ahead log is unsafe.

Source: https://sqlite.org/wal.html, "All processes using a database must be on the same host computer".
"""

from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
KINDS = frozenset({"nfs", "nfs4", "lustre", "cifs", "smb3", "ceph", "beegfs", "gpfs", "afs", "fuse.sshfs",
                   "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"})  # fmt: skip


def network_kind(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of the network file system that holds a folder; "" for a local one, or where it is not known."""
    path, holder, kind = Path(folder).resolve(), Path(), ""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:
            continue
        mount = Path(fields[4].encode().decode("unicode_escape"))  # a space is written as \040
        if path.is_relative_to(mount) and len(mount.parts) >= len(holder.parts):  # of two at one place, the later
            holder, kind = mount, kinds[0]
    return kind if kind in KINDS else ""


def describe_risk(database: Path) -> str:
    """Return a warning about a database on a network file system; "" where there is none."""
    kind = network_kind(database.parent)
    if not kind:
        return ""
    return (
        f"warning: {database} is on a network file system ({kind}), where SQLite may damage it when several machines "
        "use it: name a server with --tracking-uri (`make mlflow` starts one), or use --offline and --sync"
    )
