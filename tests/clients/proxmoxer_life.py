"""proxmoxer: the life of a guest by ticket and by token, an upload, and its error classes."""

import io
import tempfile
import time

import urllib3
from proxmoxer import AuthenticationError, ProxmoxAPI, ResourceException
from proxmoxer.tools import Tasks

from checks import HOST, PASSWORD, PORT, SECRET, check

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
TOKEN = {"user": "root@pam", "token_name": "lab", "token_value": SECRET}


def connect(**who):
    return ProxmoxAPI(HOST, port=PORT, verify_ssl=False, timeout=60, **who)


def done(pve, upid, wanted="OK"):
    status = Tasks.blocking_status(pve, upid, timeout=60, polling_interval=0.05)
    check(f"task {status['type']} {status['id']} ends", status["exitstatus"], wanted)
    return Tasks.decode_log(pve.nodes(status["node"]).tasks(upid).log.get(limit=1000))


def refused(what, status, words, call, errors=None):
    try:
        answer = call()
    except ResourceException as error:
        check(f"{what}: {error.status_code}", error.status_code, status)
        check(f"{what}: {error.content}", words in error.content)
        if errors is not None:
            check(f"{what}: parameters", sorted(error.errors or {}), errors)
        return
    check(what, answer, f"refused with {status}")


def life(pve, vmid):
    """Create, read, clone, start, snapshot, stop, migrate, destroy."""
    other = vmid + 1
    node = pve.nodes("pve1")
    check("the id is free", pve.cluster.nextid.get(vmid=vmid), str(vmid))
    done(pve, node.qemu.create(
        vmid=vmid, name="px-base", memory=64, cores=1, scsihw="virtio-scsi-single",
        scsi0="shared:1,format=qcow2", net0="virtio,bridge=vmbr0", ide2="shared:cloudinit",
        ciuser="debian", tags="one;two", description="two words & more",
    ))  # fmt: skip
    config = node.qemu(vmid).config.get()
    check("memory is text and cores a number", (config["memory"], config["cores"]), ("64", 1))
    check("description", config["description"], "two words & more")
    check("tags", config["tags"], "one;two")
    check("in the node's list", [g["name"] for g in node.qemu.get() if g["vmid"] == vmid], ["px-base"])
    node.qemu(vmid).config.put(memory=96, delete="tags")
    check("tags are gone", "tags" in node.qemu(vmid).config.get(), False)
    done(pve, node.qemu(vmid).clone.post(newid=other, name="px-one", full=1))
    guest = node.qemu(other)
    done(pve, guest.status.start.post())
    check("it runs", guest.status.current.get()["status"], "running")
    done(pve, guest.snapshot.post(snapname="first"))
    names = [snapshot["name"] for snapshot in guest.snapshot.get()]
    check("snapshots", sorted(names), ["current", "first"])
    done(pve, guest.snapshot("first").delete())
    done(pve, guest.status.stop.post())
    check("it is stopped", guest.status.current.get()["status"], "stopped")
    log = done(pve, guest.migrate.post(target="pve2"))
    check("the log of the migration", "migration finished successfully" in log)
    done(pve, pve.nodes("pve2").qemu(other).delete(purge=1))
    done(pve, node.qemu(vmid).delete())
    gone = [g for g in pve.cluster.resources.get(type="vm") if g["vmid"] in (vmid, other)]
    check("both are gone", gone, [])


def uploads(pve):
    """A small file in one piece, one above 10 MiB as a stream."""
    storage = pve.nodes("pve1").storage("local")
    for name, size in (("px-small.iso", 1 << 20), ("px-large.iso", 11 << 20)):
        with tempfile.TemporaryDirectory() as folder, open(f"{folder}/{name}", "w+b") as file:
            file.write(b"\0" * size)
            file.seek(0)
            done(pve, storage.upload.post(content="iso", filename=file))
        found = [v["size"] for v in storage.content.get(content="iso") if v["volid"] == f"local:iso/{name}"]
        check(f"{name} is there", found, [size])
        upid = storage.content(f"local:iso/{name}").delete()
        if upid:
            done(pve, upid)
    left = [v["volid"] for v in storage.content.get(content="iso") if "px-" in v["volid"]]
    check("and gone", left, [])
    file = io.BytesIO(b"x")
    file.name = "px.txt"
    refused("a wrong extension", 400, "verification failed",
            lambda: storage.upload.post(content="iso", filename=file), ["filename"])  # fmt: skip


def errors(pve):
    qemu = pve.nodes("pve1").qemu
    refused("a guest that is not there", 500, "does not exist", lambda: qemu(4999).config.get())
    refused("a parameter of the wrong type", 400, "verification failed",
            lambda: qemu.create(vmid=4900, cores="two"), ["cores"])  # fmt: skip
    refused("a parameter that is not there", 400, "verification failed",
            lambda: qemu.create(vmid=4900, coreses=2), ["coreses"])  # fmt: skip
    refused("no such path", 501, "not implemented", lambda: pve.no.such.path.get())
    refused("no such node", 500, "hostname lookup 'pve9' failed", lambda: pve.nodes("pve9").status.get())
    viewer = connect(user="viewer@pve", token_name="ro", token_value=SECRET[:-1] + "4")
    refused("no permission", 403, "Permission check failed",
            lambda: viewer.nodes("pve1").qemu.create(vmid=4900))  # fmt: skip
    wrong = connect(user="root@pam", token_name="lab", token_value="wrong")
    refused("a wrong token", 401, "Authentication failed!", lambda: wrong.version.get())
    try:
        connect(user="root@pam", password="wrong")
        check("a wrong password", "accepted", "AuthenticationError")
    except AuthenticationError:
        check("a wrong password is an AuthenticationError", True)


def main():
    token = connect(**TOKEN)
    check("version", token.version.get()["version"].split(".")[0], "9")
    check("nodes", sorted(node["node"] for node in token.nodes.get()), ["pve1", "pve2", "pve3"])
    life(token, 4910)
    ticket = connect(user="root@pam", password=PASSWORD)
    life(ticket, 4920)
    tokens = ticket.get_tokens()
    check("ticket and CSRF token", (tokens[0][:4], bool(tokens[1])), ("PVE:", True))
    uploads(token)
    uploads(ticket)
    errors(token)


began = time.monotonic()
main()
print(f"  {time.monotonic() - began:.1f} s")
