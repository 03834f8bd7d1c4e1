"""pvecontrol with guests there: status, vm list, node evacuate --dry-run, sanitycheck."""

import json
import os
import subprocess

import urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

from checks import CACHE, HOST, PORT, SECRET, check

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
CONFIG = os.path.join(CACHE, "pvecontrol.yaml")


def guests():
    """Two that run on pve1, one of them with HA, one that is stopped, and a template elsewhere."""
    pve = ProxmoxAPI(HOST, port=PORT, user="root@pam", token_name="lab", token_value=SECRET, verify_ssl=False)
    wait = lambda upid: Tasks.blocking_status(pve, upid, polling_interval=0.05)  # noqa: E731
    for vmid, node in ((4940, "pve1"), (4941, "pve1"), (4942, "pve1"), (4943, "pve2")):
        wait(pve.nodes(node).qemu.create(vmid=vmid, name=f"pc-{vmid}", memory=512, scsi0="shared:1", onboot=1))
    for vmid in (4940, 4941):
        wait(pve.nodes("pve1").qemu(vmid).status.start.post())
    wait(pve.nodes("pve2").qemu(4943).template.post())
    pve.cluster.ha.resources.post(sid="vm:4940")
    pve.cluster.ha.rules.post(rule="pair", type="node-affinity", resources="vm:4940", nodes="pve1,pve2")
    seen = []
    while len(seen) != 2:
        seen = [g for g in pve.cluster.resources.get(type="vm") if g["status"] == "running" and g.get("name")]


def pvecontrol(*arguments, answer=""):
    command = [os.path.join(CACHE, "python", "bin", "pvecontrol"), "--config", CONFIG, "--no-color", "--no-unicode"]
    done = subprocess.run([*command, *arguments], input=answer, capture_output=True, text=True)
    if "Traceback" in done.stderr:
        print(done.stdout, done.stderr)
    check(f"pvecontrol {' '.join(arguments)}: no exception", "Traceback" in done.stderr, False)
    return done.returncode, done.stdout


def main():
    guests()
    cluster = {
        "name": "truth", "host": f"{HOST}:{PORT}", "user": "root@pam", "token_name": "lab",
        "token_value": SECRET, "ssl_verify": False, "timeout": 60,
    }  # fmt: skip
    with open(CONFIG, "w", encoding="utf-8") as file:
        json.dump({"clusters": [cluster]}, file)
    code, text = pvecontrol("status")
    check("status ends well", code, 0)
    for line in ("Name: pvelab", "Status: healthy", "VMs: 3", "Templates: 1", "Online: 3", "Offline: 0"):
        check(f"status says {line}", line in text)
    code, text = pvecontrol("--output", "json", "vm", "list")
    found = sorted((vm["vmid"], vm["name"], vm["node"], vm["status"].split(".")[-1]) for vm in json.loads(text))
    wanted = [
        (4940, "pc-4940", "pve1", "RUNNING"), (4941, "pc-4941", "pve1", "RUNNING"),
        (4942, "pc-4942", "pve1", "STOPPED"), (4943, "pc-4943", "pve2", "STOPPED"),
    ]  # fmt: skip
    check("vm list", (code, found), (0, wanted))
    code, text = pvecontrol("node", "evacuate", "--dry-run", "pve1", answer="yes\n")
    check("evacuate ends well", code, 0)
    for vmid in (4940, 4941):
        check(f"it would move {vmid}", f"Migrating VM {vmid} (pc-{vmid}) from pve1 to pve" in text)
    check("it moves nothing", text.count("Dry run, skipping migration"), 2)
    code, text = pvecontrol("sanitycheck")
    check("sanitycheck finds what a real cluster has", code, 1)
    for line in (
        "Node 'pve1' isn't in mem overcommit",
        "HA Group checked",
        "Node 'pve1' has VM 'pc-4940' with cpu type Default",
        "VM '4940/pc-4940' has the good 'startonboot' option",
        "VM '4942/pc-4942' is stopped but 'startonboot' is set to true",
        "SUMMARY",
    ):
        check(f"sanitycheck says {line}", line in text)


main()
