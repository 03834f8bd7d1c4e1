// @corsinvest/cv4pve-api-javascript: login, list, create, read, wait for the task, delete; by
// ticket and by token, and what a refusal looks like.
"use strict";

const path = require("path");
const modules = path.join(process.env.CLIENTS_CACHE, "javascript", "node_modules");
const { PveClient } = require(path.join(modules, "@corsinvest", "cv4pve-api-javascript"));

function check(what, found, wanted = true) {
  if (JSON.stringify(found) === JSON.stringify(wanted)) {
    console.log(`  ok   ${what}`);
    return;
  }
  console.log(`  DIFF ${what}: ${JSON.stringify(found)}, and not ${JSON.stringify(wanted)}`);
  process.exit(1);
}

async function done(client, result) {
  check(`${result.methodType} ${result.requestResource}: ${result.reasonPhrase}`, result.statusCode, 200);
  const upid = result.response.data;
  check("it is a task that ends", await client.waitForTaskToFinish(upid, 50, 30000));
  check(`${upid.split(":")[5]} ends`, await client.getExitStatusTask(upid), "OK");
}

async function life(client, vmid) {
  const version = await client.version.version();
  check("version", version.response.data.version.split(".")[0], "9");
  const nodes = (await client.nodes.index()).response.data.map((node) => node.node).sort();
  check("nodes", nodes, ["pve1", "pve2", "pve3"]);
  const node = client.nodes.get("pve1");
  await done(client, await client.create("/nodes/pve1/qemu", {
    vmid, name: "js-one", memory: 64, onboot: true, scsi0: "shared:1,format=qcow2", net0: "virtio,bridge=vmbr0",
  }));
  const guest = node.qemu.get(vmid);
  const config = (await guest.config.vmConfig()).response.data;
  check("config", [config.name, config.memory, config.onboot], ["js-one", "64", 1]);
  await done(client, await guest.status.start.vmStart());
  check("it runs", (await guest.status.current.vmStatus()).response.data.status, "running");
  await done(client, await guest.status.stop.vmStop());
  const put = await client.set(`/nodes/pve1/qemu/${vmid}/config`, { description: "ä & ö", cores: 2 });
  check("a change answers null", [put.statusCode, put.response.data], [200, null]);
  check("text survives", (await guest.config.vmConfig()).response.data.description, "ä & ö");
  const listed = (await client.cluster.resources.resources("vm")).response.data.map((guest) => guest.vmid);
  check("in the cluster's list", listed.includes(vmid));
  await done(client, await guest.destroyVm());
  const gone = await guest.config.vmConfig();
  check("gone", [gone.statusCode, gone.reasonPhrase], [500, `Configuration file 'nodes/pve1/qemu-server/${vmid}.conf' does not exist`]);
}

async function refusals(client) {
  const wrong = await client.create("/nodes/pve1/qemu", { vmid: 4950, cores: "two" });
  check("a parameter of the wrong type", [wrong.statusCode, wrong.responseInError], [400, true]);
  check("names it", Object.keys(wrong.response.errors), ["cores"]);
  const missing = await client.get("/no/such/path");
  check("no such path", missing.statusCode, 501);
}

async function main() {
  const { PVE_HOST, PVE_PORT, PVE_SECRET } = process.env;
  const ticket = new PveClient(PVE_HOST, Number(PVE_PORT));
  check("a wrong password is refused", await ticket.login("root", "wrong", "pam"), false);
  check("login", await ticket.login("root", "truth-root", "pam"));
  await life(ticket, 4951);
  const token = new PveClient(PVE_HOST, Number(PVE_PORT));
  token.apiToken = `root@pam!lab=${PVE_SECRET}`;
  await life(token, 4952);
  await refusals(token);
}

main().then(() => process.exit(0), (error) => {
  console.log(error);
  process.exit(1);
});
