"""prometheus-pve-exporter: a scrape of /pve with guests there has all guests, nodes and storages."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import urllib3
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

from checks import CACHE, HOST, PORT, SECRET, check

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def guests():
    """Three guests: one runs, one is stopped, one is a template."""
    pve = ProxmoxAPI(HOST, port=PORT, user="root@pam", token_name="lab", token_value=SECRET, verify_ssl=False)
    for vmid, name, node in ((4930, "run", "pve1"), (4931, "stop", "pve2"), (4932, "image", "pve3")):
        upid = pve.nodes(node).qemu.create(vmid=vmid, name=name, memory=64, scsi0="shared:1", onboot=int(vmid == 4930))
        Tasks.blocking_status(pve, upid, polling_interval=0.05)
    Tasks.blocking_status(pve, pve.nodes("pve1").qemu(4930).status.start.post(), polling_interval=0.05)
    Tasks.blocking_status(pve, pve.nodes("pve3").qemu(4932).template.post(), polling_interval=0.05)
    # /cluster/resources lags behind as on a real cluster.
    for _ in range(100):
        seen = {g["vmid"]: (g["status"], g.get("name")) for g in pve.cluster.resources.get(type="vm")}
        if seen.get(4930) == ("running", "run") and all(name for _, name in seen.values()):
            return
        time.sleep(0.1)
    check("the guests are listed", seen, "running")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scrape(port, query):
    url = f"http://127.0.0.1:{port}/pve?{query}"
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            sys.exit(f"{url}: {error.code} {error.read().decode()[:2000]}")
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url} does not answer")


def labels(text, metric):
    """The labels and the value of each sample of a metric."""
    samples = []
    for found in re.finditer(rf"^{metric}{{(.*)}} (\S+)$", text, re.M):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', found.group(1)))
        samples.append((pairs, float(found.group(2))))
    return samples


def ids(text, metric):
    return sorted(pairs["id"] for pairs, _ in labels(text, metric))


def main():
    guests()
    port = free_port()
    environment = dict(
        os.environ, PVE_USER="root@pam", PVE_TOKEN_NAME="lab", PVE_TOKEN_VALUE=SECRET, PVE_VERIFY_SSL="false"
    )
    command = [os.path.join(CACHE, "python", "bin", "pve_exporter"), "--web.listen-address", f"127.0.0.1:{port}"]
    with open(os.path.join(CACHE, "exporter.log"), "wb") as log:
        exporter = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        text = scrape(port, f"target={HOST}:{PORT}&cluster=1&node=1")
    finally:
        exporter.terminate()
        exporter.wait()
    three = ["qemu/4930", "qemu/4931", "qemu/4932"]
    nodes = ["node/pve1", "node/pve2", "node/pve3"]
    up = {pairs["id"]: value for pairs, value in labels(text, "pve_up")}
    check("nodes are up", [up.get(name) for name in nodes], [1.0] * 3)
    check("guests are up or not", [up.get(name) for name in three], [1.0, 0.0, 0.0])
    check("node info", ids(text, "pve_node_info"), nodes)
    check("guest info", ids(text, "pve_guest_info"), three)
    check("templates", [p["id"] for p, _ in labels(text, "pve_guest_info") if p["template"] == "1"], ["qemu/4932"])
    stores = [f"storage/{node}/{storage}" for node in ("pve1", "pve2", "pve3") for storage in ("local", "shared", "vmdata")]
    check("storage info", ids(text, "pve_storage_info"), sorted(stores))
    for metric in ("pve_cpu_usage_ratio", "pve_memory_usage_bytes", "pve_uptime_seconds"):
        check(metric, ids(text, metric), sorted(nodes + three))
    sizes = sorted(nodes + three + stores)
    for metric in ("pve_disk_size_bytes", "pve_disk_usage_bytes"):
        check(metric, ids(text, metric), sizes)
    check("the version", [p["release"] for p, _ in labels(text, "pve_version_info")], ["9.2"])
    check("the cluster", [p["id"] for p, _ in labels(text, "pve_cluster_info")], ["cluster/pvelab"])
    check("onboot", labels(text, "pve_onboot_status")[0][1], 1.0)
    check("not backed up", ids(text, "pve_not_backed_up_info"), three)
    check("subscription", len(labels(text, "pve_subscription_info")), 1)


main()
