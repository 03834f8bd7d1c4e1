//! Proxmox VE's own commands beyond the recorded ones: tables, exit statuses, what they change.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

#[path = "support/nodes.rs"]
mod nodes;

use nodes::{Nodes, Said, play};
use pvx_sim::{TimeScale, World};

#[tokio::test(flavor = "multi_thread")]
async fn pvesh_shows_what_the_schemas_name() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            ("pvesh get /version", 0, "┌─────────┬──────────────────┐\n│ key     │ value            │\n╞═════════╪══════════════════╡\n│ release │ 9.2              │\n├─────────┼──────────────────┤\n│ repoid  │ 14a22df35955d97d │\n├─────────┼──────────────────┤\n│ version │ 9.2.11           │\n└─────────┴──────────────────┘\n", ""),
            ("pvesh get /storage --noborder 1", 0, "storage\nlocal\nshared\nvmdata\n", ""),
            ("pvesh get /nodes --noborder | head -1", 0, "node status   cpu level maxcpu    maxmem      mem ssl_fingerprint                                                                                 uptime\n", ""),
            ("pvesh get /nodes --noborder --noheader | awk '{print $1, $5, $6}'", 0, "pve1 23.54 GiB\npve2 23.54 GiB\npve3 23.54 GiB\n", ""),
            ("pvesh get /nodes --noborder --noheader --human-readable 0 | awk '{print $5}' | head -1", 0, "25276514304\n", ""),
            ("pvesh get /nodes/pve1/qemu; pvesh get /nodes/pve1/qemu --output-format json-pretty", 0, "[]\n", ""),
            ("pvesh ls /nodes/pve1 | grep -E ' (config|qemu|ceph|vzdump|version)$'", 0, "Dr---        ceph\n-rw--        config\nDr-c-        qemu\n-r---        version\n---c-        vzdump\n", ""),
            ("pvesh ls /nope", 255, "", "no such resource '/nope'\n"),
            ("pvesh ls /version", 255, "", "resource '/version' does not define child links\n"),
            ("pvesh get /nope", 1, "", "No 'get' handler defined for '/nope'\n"),
            ("pvesh get /nodes --output-format xml", 255, "", "400 Parameter verification failed.\noutput-format: value 'xml' does not have a value in the enumeration 'text, json, json-pretty, yaml'\npvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"),
            ("pvesh create /nodes/pve1/qemu", 255, "", "400 Parameter verification failed.\nvmid: property is missing and it is not optional\npvesh create <api_path> --vmid <integer> [OPTIONS] [FORMAT_OPTIONS]\n"),
            ("pvesh usage /nodes/pve1/qemu; pvesh usage /version", 0, "USAGE: pvesh get /nodes/pve1/qemu  [OPTIONS]\nUSAGE: pvesh create /nodes/pve1/qemu --vmid <integer> [OPTIONS]\nUSAGE: pvesh get /version \n", ""),
            ("pvesh --nooutput create /nodes/pve1/qemu --vmid 100; pvesh --noproxy get /nodes/pve1/qemu/100/config --noborder --noheader | grep -c digest", 0, "1\n", ""),
            ("pvesh get /nodes/pve2/qemu/999/config", 255, "", "Configuration file 'nodes/pve2/qemu-server/999.conf' does not exist\nproxy handler failed: command '/usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias=pve2' -o 'UserKnownHostsFile=/etc/pve/nodes/pve2/ssh_known_hosts' -o 'GlobalKnownHostsFile=none' root@10.99.7.12 -- pvesh --noproxy get /nodes/pve2/qemu/999/config --output-format json' failed: exit code 2\n"),
            ("pvesh help set", 0, "USAGE: pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]\n\n  Call API PUT on <api_path>.\n\n", ""),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_end_with_what_errno_was_left() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            ("qm create 100 --agent 1 --scsi0 vmdata:1 > /dev/null", 0, "", ""),
            (
                "qm create 100",
                25,
                "",
                "unable to create VM 100 - VM 100 already exists on node 'pve1'\n",
            ),
            (
                "qm reset 999",
                2,
                "",
                "unable to find configuration file for VM 999 on node 'pve1'\n",
            ),
            ("qm reset 100", 2, "", "VM 100 not running\n"),
            ("qm agent 100 ping", 2, "", "VM 100 is not running\n"),
            (
                "qm showcmd 999",
                2,
                "",
                "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n",
            ),
            ("qm status", 255, "", "400 not enough arguments\nqm status <vmid> [OPTIONS]\n"),
            ("pvesm path", 255, "", "400 not enough arguments\npvesm path <volume>\n"),
            ("qm terminal", 255, "", "400 not enough arguments\nqm terminal <vmid> [OPTIONS]\n"),
            ("qm set 100 --scsi1 nosuch:1", 2, "", "storage 'nosuch' does not exist\n"),
            ("qm clone 100 101 --snapname none", 2, "", "snapshot 'none' does not exist\n"),
            (
                "qm start 100; qm clone 100 101 --snapname none",
                25,
                "",
                "snapshot 'none' does not exist\n",
            ),
            ("qm destroy 100", 25, "", "VM 100 is running - destroy failed\n"),
            ("qm start 100", 255, "", "VM 100 already running\n"),
            (
                "qm shutdown 100 --forceStop 1 --timeout 1; qm status 100",
                0,
                "VM still running - terminating now with SIGTERM\nstatus: stopped\n",
                "",
            ),
            (
                "pct status 100",
                2,
                "",
                "Configuration file 'nodes/pve1/lxc/100.conf' does not exist\n",
            ),
            (
                "qmrestore /none.vma",
                255,
                "",
                "400 not enough arguments\nqmrestore <archive> <vmid> [OPTIONS]\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_change_what_they_say() {
    let Some(nodes) = Nodes::truth().await else { return };
    let acl = "pveum acl list --noborder --noheader | grep -c '/vms *PVEVMUser *user *viewer@pve'";
    play(
        &nodes,
        &[
            ("pveum acl modify /vms --users viewer@pve --roles PVEVMUser", 0, "", ""),
            (acl, 0, "1\n", ""),
            ("pveum acl delete /vms --users viewer@pve --roles PVEVMUser", 0, "", ""),
            (acl, 1, "0\n", ""),
            ("printf 'new-secret1\\nnew-secret1\\n' | pveum passwd viewer@pve", 0, "", ""),
            ("printf 'new-secret1\\n' | pveum ticket viewer@pve | cut -d: -f1-2", 0, "PVE:viewer@pve\n", ""),
            ("printf 'new-secret1\\nother\\n' | pveum passwd viewer@pve", 255, "", "passwords do not match\n"),
            ("pveum passwd viewer@pve < /dev/null", 255, "", "EOF while reading password\n"),
            ("qm create 100 --ide2 shared:cloudinit --scsi0 shared:1 > /dev/null; qm cloudinit update 100", 0, "generating cloud-init ISO\n", ""),
            ("qm create 101; qm cloudinit update 101", 0, "", ""),
            ("printf 'in-secret\\nin-secret\\n' | qm set 100 --cipassword; qm config 100 | grep cipassword", 0, "update VM 100: -cipassword <hidden>\ncipassword: **********\n", ""),
            ("ha-manager add vm:100 --state stopped; ha-manager crm-command migrate vm:100 pve2; ha-manager config", 0, "vm:100\n\tstate stopped\n\n", ""),
            ("ha-manager crm-command migrate vm:999 pve2", 255, "", "resource 'vm:999' is not HA managed\n"),
            ("vzdump 101 --storage local --compress zstd --quiet 1; qmrestore $(pvesm list local --content backup | awk 'NR==2{print $1}') 102 > /dev/null && qm list | awk '{print $1}'", 0, "VMID\n101\n102\n", ""),
            ("pvesm extractconfig $(pvesm list local --content backup | awk 'NR==2{print $1}') | grep -c vmgenid", 0, "1\n", ""),
            ("pvesm prune-backups local --keep-last 1 --dry-run 1 | tail -1 | awk '{print $2, $3}'", 0, "qemu/101 keep\n", ""),
            ("qm start 999; pvenode task list --noborder --noheader | awk '{print $2, $NF}' | sort -u", 0, "qmcreate OK\nqmigrate OK\nqmrestore OK\nqmstart ERROR\nvzdump OK\n", "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n"),
            ("pvecm apiver; pveum user tfa list", 0, "1\n", ""),
            ("pvesr list; pvesubscription get | grep status", 0, "JobID                Target                 Schedule  Rate  Enabled\nstatus: notfound\n", ""),
            ("pvesh set /cluster/options --description 'a: b' --keyboard de; cat /etc/pve/datacenter.cfg", 0, "#a%3A b\n\nkeyboard: de\n", ""),
            ("sed -i 's/^#.*/#new/' /etc/pve/datacenter.cfg; pvesh get /cluster/options --output-format json | grep -o new", 0, "new\n", ""),
            ("pvestatd status; pve-firewall status", 0, "running\nStatus: disabled/running\n", ""),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_knows_more_of_bash() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            ("[[ -f /etc/hostname && 1 -eq 1 ]] && echo yes; [[ ( a == b || -n x ) ]] && echo yes", 0, "yes\nyes\n", ""),
            ("x='a b'; [[ $x == a* ]] && echo pattern; [[ $x == \"a*\" ]] || echo text; [[ $x != c* ]] && echo other", 0, "pattern\ntext\nother\n", ""),
            ("[[ vm-101-disk ]] && [[ vm-101-disk =~ ^vm-([0-9]+)-(.*)$ ]] && echo ${BASH_REMATCH[1]} ${BASH_REMATCH[2]}", 0, "101 disk\n", ""),
            ("for ((i = 0; i < 3; i++)); do echo -n $i; done; ((i += 5)); echo \" $i\"; ((i == 8)) || echo no; ((0))", 1, "012 8\n", ""),
            ("a=(1 2 'x y'); a+=(z); a[1]=q; echo ${a[1]} ${#a[@]} ${a[-1]}; for x in \"${a[@]}\"; do echo \"<$x>\"; done; echo ${a[*]}", 0, "q 4 z\n<1>\n<q>\n<x y>\n<z>\n1 q x y z\n", ""),
            ("while read -r line; do echo \"<$line>\"; done < <(printf 'a\\nb\\n'); cat <(echo c) <(echo d); ls -A /tmp", 0, "<a>\n<b>\nc\nd\n", ""),
            ("function f { echo \"f $1\"; }; function g() { f x; }; g", 0, "f x\n", ""),
            ("set -e; trap 'echo bye $?' EXIT; echo hi; false; echo never", 1, "hi\nbye 1\n", ""),
            ("trap 'echo out' EXIT; (trap 'echo in' EXIT); x=$(echo y); echo $x; exit 3", 3, "in\ny\nout\n", ""),
            ("true | false | true; echo ${PIPESTATUS[@]}", 0, "0 1 0\n", ""),
            ("./none; /usr/bin/none", 127, "", "bash: line 1: ./none: No such file or directory\nbash: line 1: /usr/bin/none: No such file or directory\n"),
            ("echo 'echo run $1' > /tmp/s; /tmp/s a; chmod +x /tmp/s; /tmp/s a; rm /tmp/s", 0, "run a\n", "bash: line 1: /tmp/s: Permission denied\n"),
            ("sed -i s/a/b/ /none", 2, "", "sed: can't read /none: No such file or directory\n"),
            ("head /none; sort /none; touch /none/x", 1, "", "head: cannot open '/none' for reading: No such file or directory\nsort: cannot read: /none: No such file or directory\ntouch: cannot touch '/none/x': No such file or directory\n"),
            ("df -h /var/lib/vmdata; df --output=avail -B1 /var/lib/vmdata | tail -1", 0, "Filesystem      Size  Used Avail Use% Mounted on\nvmdata          252G     0  252G   0% /var/lib/vmdata\n270553174016\n", ""),
            ("printf 12345 > /tmp/d; du -b /tmp/d; rm /tmp/d; ip -4 addr show vmbr0 | awk '/inet /{print $2}'; tty", 1, "5\t/tmp/d\n10.99.7.11/24\nnot a tty\n", ""),
            ("echo none | sha256sum -c", 1, "", "sha256sum: 'standard input': no properly formatted checksum lines found\n"),
        ],
    )
    .await;
}

/// A session of a shared connection closes its channel as soon as the output ends, when it has
/// nothing more to send.
#[tokio::test(flavor = "multi_thread")]
async fn no_exit_status_is_lost() {
    let Some(nodes) = Nodes::start(World::truth(), TimeScale::times(20.0)).await else { return };
    let socket = format!("ControlPath={}", nodes.path("control"));
    let with = |more: &[&str]| {
        let mut arguments = nodes.options("pve1", "-p");
        for option in ["ControlMaster=auto", &socket, "ControlPersist=30"] {
            arguments.extend(["-o".to_owned(), option.to_owned()]);
        }
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        arguments
    };
    assert!(nodes.quiet("ssh", with(&["-N", "-f", "root@127.0.0.1"])).await);
    assert_eq!(nodes.run("qm create 100 --scsi0 vmdata:1 && qm start 100").await.code, 0);
    for _ in 0..40 {
        let arguments = with(&["root@127.0.0.1", "qm reset 100"]);
        let said = Said::from(nodes.client("ssh", arguments, b"").await);
        assert_eq!(said.code, 0, "{said:?}");
    }
    nodes.client("ssh", with(&["-O", "exit", "root@127.0.0.1"]), b"").await;
}
