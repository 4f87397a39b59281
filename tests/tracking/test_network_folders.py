"""A database on a network file system is recognised by the system's own list of mounts."""

from pathlib import Path

import pytest

from sweeps.tracking.network_folders import describe_risk, network_kind

LIST = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
35 22 0:31 / {shared} rw,relatime shared:18 - {kind} server:/export rw,vers=4.2
36 35 254:1 / {shared}/local\\040disk rw - xfs /dev/vdb rw
"""


def mounts(folder: Path, kind: str) -> Path:
    """Write the list of a machine that has a shared folder, and a disk of its own below it."""
    path = folder / "mountinfo"
    path.write_text(LIST.format(shared=folder / "shared", kind=kind))
    return path


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "cifs", "fuse.sshfs"])
def test_a_folder_below_a_network_mount_is_on_it(tmp_path: Path, kind: str) -> None:
    assert network_kind(tmp_path / "shared" / "project" / "runs", mounts(tmp_path, kind)) == kind


def test_a_local_disk_below_a_network_mount_is_local(tmp_path: Path) -> None:
    assert network_kind(tmp_path / "shared" / "local disk" / "runs", mounts(tmp_path, "nfs4")) == ""


def test_a_folder_beside_a_network_mount_is_local(tmp_path: Path) -> None:
    assert network_kind(tmp_path / "shared-not", mounts(tmp_path, "nfs4")) == ""


def test_a_link_to_a_network_mount_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    assert network_kind(tmp_path / "link" / "runs", mounts(tmp_path, "nfs")) == "nfs"


def test_a_system_without_a_list_says_nothing(tmp_path: Path) -> None:
    assert network_kind(tmp_path, tmp_path / "none") == ""


def test_the_folder_of_this_test_needs_no_warning(tmp_path: Path) -> None:
    assert describe_risk(tmp_path / "mlflow.db") == ""
