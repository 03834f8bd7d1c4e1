//! What operators and their scripts do over SSH: filters, large files, many sessions, other nodes.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

#[path = "support/nodes.rs"]
mod nodes;

use std::path::Path;

use nodes::{Nodes, Said, play};
use pvx_sim::World;

const GUESTS: &str =
    "for i in 101 102 103; do qm create $i --name vm$i --memory 64 > /dev/null; done; qm start 102";

#[tokio::test(flavor = "multi_thread")]
async fn filters_as_scripts_use_them() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            (GUESTS, 0, "", ""),
            ("qm list | awk 'NR>1 {print $1}' | xargs", 0, "101 102 103\n", ""),
            ("qm list | awk '$3 == \"running\" {print $1, $2}'", 0, "102 vm102\n", ""),
            (
                "for id in $(qm list | awk '/stopped/ {print $1}'); do qm status $id; done",
                0,
                "status: stopped\nstatus: stopped\n",
                "",
            ),
            ("qm list | awk 'NR>1' | sort -rn | head -1 | awk '{print $2}'", 0, "vm103\n", ""),
            ("qm config 101 | awk -F': ' '/^memory/ {print $2}'", 0, "64\n", ""),
            ("seq 101 103 | xargs -I{} qm config {} | grep -c ^name", 0, "3\n", ""),
            ("echo 1 2 3 | xargs -n1 echo n", 0, "n 1\nn 2\nn 3\n", ""),
            (
                "find /etc/pve/nodes/pve1 -name '*.conf' | sort | xargs -n1 basename",
                0,
                "101.conf\n102.conf\n103.conf\n",
                "",
            ),
            ("find /var/lib/vz/template -type f", 0, "/var/lib/vz/template/iso/truth.iso\n", ""),
            ("find /nowhere", 1, "", "find: ‘/nowhere’: No such file or directory\n"),
            (
                "awk '{print $1' /etc/hostname",
                2,
                "",
                "awk: line 1: syntax error at or near end of file\n",
            ),
            ("printf 'a\\nb\\n' | tac; printf 'a\\nb\\n' | paste -sd, -", 0, "b\na\na,b\n", ""),
            (
                "systemctl is-active pveproxy pvedaemon; systemctl is-active nothing",
                4,
                "active\nactive\ninactive\n",
                "",
            ),
            (
                "timeout 5 qm status 101; timeout x true",
                125,
                "status: stopped\n",
                "timeout: invalid time interval ‘x’\n",
            ),
            ("echo hi | dd of=/tmp/dd status=none && cat /tmp/dd", 0, "hi\n", ""),
            ("jq . /etc/hostname", 127, "", "bash: line 1: jq: command not found\n"),
            ("virt-customize -a x", 127, "", "bash: line 1: virt-customize: command not found\n"),
            ("ip -br a | awk '/vmbr0/ {print $1}'", 0, "vmbr0\n", ""),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_first_commands() {
    let Some(nodes) = Nodes::truth().await else { return };
    let privs = "VM.Allocate VM.Clone VM.Config.Disk VM.PowerMgmt VM.Audit \\\n   Datastore.AllocateSpace Datastore.Audit Sys.Audit";
    let script = format!(
        "pveum user add robot@pve && pveum role add Robot --privs \\\n \"{privs}\" \\\n && pveum acl modify / --user robot@pve --role Robot && pveum user token add robot@pve tok --privsep 0 --output-format json"
    );
    let said = nodes.run(&script).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let token: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(token["full-tokenid"], "robot@pve!tok");
    let said = nodes.run("pveum role list --output-format json").await;
    let roles: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let robot = roles.as_array().unwrap().iter().find(|role| role["roleid"] == "Robot").unwrap();
    assert!(robot["privs"].as_str().unwrap().contains("VM.PowerMgmt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_reach_each_other() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            ("qm create 200 --memory 64 > /dev/null; ssh pve2 hostname; ssh root@pve3 'hostname; exit 3'", 3, "pve2\npve3\n", ""),
            ("ssh pve2 qm start 200", 255, "", "Configuration file 'nodes/pve2/qemu-server/200.conf' does not exist\n"),
            ("ssh -o BatchMode=yes nobody true", 255, "", "ssh: Could not resolve hostname nobody: Name or service not known\n"),
            ("ssh pve2 'ssh pve1 qm status 200'", 0, "status: stopped\n", ""),
            ("echo x | ssh pve2 'cat > /tmp/there'; ls /tmp/there; ssh pve2 cat /tmp/there", 0, "x\n", "ls: cannot access '/tmp/there': No such file or directory\n"),
        ],
    )
    .await;
}

/// A pattern that is no disk image.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_leave_their_outside() {
    let Some(nodes) = Nodes::truth().await else { return };
    let mut image = b"QFI\xfb\0\0\0\x03".to_vec();
    image.resize(24, 0);
    image.extend((9u64 << 30).to_be_bytes());
    image.extend(pattern(80 << 20));
    std::fs::write(nodes.path("big.qcow2"), &image).unwrap();
    let sum =
        std::process::Command::new("sha256sum").arg(nodes.path("big.qcow2")).output().unwrap();
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    for (flags, name) in [(&["-O"][..], "old"), (&[][..], "new")] {
        let to = format!(":/var/lib/vz/import/{name}.qcow2");
        let said = nodes.copy("scp", flags, &nodes.path("big.qcow2"), &to).await;
        assert_eq!(said.code, 0, "{said:?}");
    }
    let bytes = image.clone();
    let mut arguments = nodes.options("pve1", "-p");
    arguments.extend(["root@127.0.0.1", "cat > /tmp/piped.img"].map(str::to_owned));
    let said = Said::from(nodes.client("ssh", arguments, &bytes).await);
    assert_eq!(said.code, 0, "{said:?}");
    for path in ["/var/lib/vz/import/old.qcow2", "/var/lib/vz/import/new.qcow2", "/tmp/piped.img"] {
        let said = nodes.run(&format!("sha256sum {path} | cut -c1-64; stat -c %s {path}")).await;
        assert_eq!(said.out, format!("{sum}\n{}\n", image.len()), "{path}");
        let said = nodes.run(&format!("qemu-img info {path} | grep virtual; cat {path}")).await;
        let complaint = format!("cat: {path}: Input/output error\n");
        let wanted = "virtual size: 9 GiB (9663676416 bytes)\n";
        assert_eq!((said.out.as_str(), said.err), (wanted, complaint));
    }
    let said = nodes.run("qm create 300 --memory 64 --scsi0 vmdata:0,import-from=/tmp/piped.img > /dev/null; qm config 300 | grep -o size=9G").await;
    assert_eq!(said.out, "size=9G\n", "{said:?}");
    // What is between is read back as it was, but is no part of the world's file.
    let middle = pattern(3 << 20);
    std::fs::write(nodes.path("middle"), &middle).unwrap();
    nodes.copy("scp", &[], &nodes.path("middle"), ":/tmp/middle").await;
    nodes.copy("scp", &[], ":/tmp/middle", &nodes.path("back")).await;
    assert!(std::fs::read(nodes.path("back")).unwrap() == middle);
    let file = nodes.path("world.json");
    nodes.sim.world().save(Path::new(&file)).unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() < 1 << 20);
    assert!(World::load(Path::new(&file)).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_many_sessions() {
    let Some(nodes) = Nodes::truth().await else { return };
    let socket = nodes.path("control");
    let with = |more: &[&str]| {
        let mut arguments = nodes.options("pve1", "-p");
        arguments.extend([
            "-o".to_owned(),
            "ControlMaster=auto".to_owned(),
            "-o".to_owned(),
            format!("ControlPath={socket}"),
            "-o".to_owned(),
            "ControlPersist=30".to_owned(),
        ]);
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        arguments
    };
    // As the crate openssh does: a master in the background, then sessions.
    let status =
        nodes.quiet("ssh", with(&["-E", &nodes.path("log"), "-N", "-f", "root@127.0.0.1"])).await;
    assert!(status, "{:?}", std::fs::read_to_string(nodes.path("log")));
    let sessions = (0..20).map(|number| {
        let arguments = with(&["root@127.0.0.1", "--", "cat; exit", &(number % 5).to_string()]);
        let nodes = &nodes;
        async move {
            let said = Said::from(nodes.client("ssh", arguments, b"in").await);
            assert_eq!((said.code, said.out.as_str()), (number % 5, "in"), "{said:?}");
        }
    });
    let mut all = Vec::new();
    for session in sessions {
        all.push(session);
    }
    for session in all {
        session.await;
    }
    let said = Said::from(nodes.client("ssh", with(&["-O", "check", "root@127.0.0.1"]), b"").await);
    assert_eq!(said.code, 0, "{said:?}");
    let said = Said::from(nodes.client("ssh", with(&["-O", "exit", "root@127.0.0.1"]), b"").await);
    assert_eq!(said.code, 0, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_is_refused() {
    let Some(nodes) = Nodes::truth().await else { return };
    let mut arguments = nodes.options("pve1", "-p");
    arguments.extend(["-W", "127.0.0.1:22", "root@127.0.0.1"].map(str::to_owned));
    let said = Said::from(nodes.client("ssh", arguments, b"").await);
    assert_eq!(said.code, 255, "{said:?}");
    assert_eq!(nodes.run("hostname").await.out, "pve1\n");
    // Sftp in a batch.
    std::fs::write(
        nodes.path("batch"),
        "cd /tmp\nmkdir b\nput /etc/hostname b/h\nls b\nrm b/h\nrmdir b\n",
    )
    .unwrap();
    let mut arguments = nodes.options("pve1", "-P");
    arguments.extend(["-b".to_owned(), nodes.path("batch"), "root@127.0.0.1".to_owned()]);
    let said = Said::from(nodes.client("sftp", arguments, b"").await);
    assert!(said.code == 0 && said.out.contains("b/h"), "{said:?}");
}
