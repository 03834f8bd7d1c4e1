"""Takes the collection community.proxmox out of the wheel of ansible, unchanged."""

import glob
import sys
import zipfile

wheels, target = sys.argv[1:]
[wheel] = glob.glob(f"{wheels}/ansible-*.whl")
with zipfile.ZipFile(wheel) as archive:
    members = [n for n in archive.namelist() if n.startswith("ansible_collections/community/proxmox/")]
    assert members, "the wheel has no community.proxmox"
    archive.extractall(target, members)
