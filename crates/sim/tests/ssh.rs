//! The nodes' SSH servers, through OpenSSH's own `ssh`, `scp` and `sftp`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

#[path = "support/nodes.rs"]
mod nodes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use nodes::{Nodes, Said, play};
use pvx_sim::{TimeScale, World};
use regex::Regex;
use serde_json::Value;

/// A server on loopback that has `truth.img`.
async fn serve_files() -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut part = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut part).await {
                    Ok(count) if count > 0 => request.extend_from_slice(&part[..count]),
                    _ => break,
                }
            }
            let found = request.starts_with(b"GET /truth.img ");
            let body = if found { vec![7; 196_624] } else { b"none".to_vec() };
            let status = if found { "200 OK" } else { "404 Not Found" };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    address
}

/// Text without what differs from run to run.
fn normal(text: &str) -> String {
    let mut text = text.trim_end().to_owned();
    for (pattern, by) in [
        (r"\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b", "<mac>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (r"creation-qemu=[^,]+,ctime=\d+", "<meta>"),
        (r"(?m)^transferred .*\n?", ""),
        (r"Date: .*", "Date: <date>"),
        (r"Ring ID: .*", "Ring ID: <ring>"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, by).into_owned();
    }
    text.trim_end().to_owned()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::String(text) => Value::String(normal(&text)),
        other => other,
    }
}

/// The columns of a table, widths left out.
fn columns(text: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(words).collect()
}

/// How an answer differs from the recorded one.
fn difference(command: &str, want: &Value, said: &Said) -> Option<String> {
    let text = |key: &str| want[key].as_str().unwrap().to_owned();
    if want["rc"] != said.code {
        return Some(format!("exit {} (real: {}), {}", said.code, want["rc"], said.err));
    }
    if normal(&text("stderr")) != normal(&said.err) {
        return Some(format!("stderr {:?} (real: {:?})", said.err, text("stderr")));
    }
    let out = text("stdout");
    if let Ok(value) = serde_json::from_str::<Value>(&out) {
        let ours = serde_json::from_str(&said.out).unwrap_or(Value::Null);
        let same = sorted(value) == sorted(ours);
        return (!same).then(|| format!("JSON {} (real: {out})", said.out));
    }
    // How full the machine was is not compared, nor what else lay on it.
    if command == "pvesm status" || command.starts_with("pvesm list") {
        let (want, ours) = (columns(&out), columns(&said.out));
        return (want.first() != ours.first()).then(|| said.out.clone());
    }
    if command.starts_with("cat /etc/pve/storage.cfg") {
        let words = |text: &str| {
            let mut words: Vec<String> =
                text.split(|c: char| c.is_whitespace() || c == ',').map(str::to_owned).collect();
            words.sort();
            words
        };
        return (words(&out) != words(&said.out)).then(|| said.out.clone());
    }
    let (want, ours) = (normal(&out), normal(&said.out));
    (want != ours).then(|| format!("stdout\n{ours}\nreal:\n{want}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_commands_answer_as_on_the_real_cluster() {
    let Some(nodes) = Nodes::truth().await else { return };
    let www = serve_files().await.to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ssh.json");
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut found = Vec::new();
    for step in recorded["commands"].as_array().unwrap() {
        let command = step["command"].as_str().unwrap().replace("{www}", &www);
        let said = nodes.run(&command).await;
        if let Some(text) = difference(&command, step, &said) {
            found.push(format!("{command}: {text}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_works_as_bash_does() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            ("echo a  b 'c  d' \"e$HOME\" f\\ g", 0, "a b c  d e/root f g\n", ""),
            ("false; echo $?; true && echo yes || echo no", 0, "1\nyes\n", ""),
            ("x=5; echo ${x}0 ${y:-none} ${#x} $((x * 2 + 1))", 0, "50 none 1 11\n", ""),
            ("for i in 1 2 {a,b}; do echo -n $i,; done; echo", 0, "1,2,a,b,\n", ""),
            ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", 0, "1\n3\n", ""),
            ("if test -d /tmp; then echo dir; elif false; then echo x; else echo none; fi", 0, "dir\n", ""),
            ("case abc in a*) echo A;; *) echo B;; esac", 0, "A\n", ""),
            ("f() { echo \"$1 $#\"; return 3; }; f x y; echo $?", 0, "x 2\n3\n", ""),
            ("echo one > /tmp/t; echo two >> /tmp/t; cat < /tmp/t | wc -l; cat /tmp/t", 0, "2\none\ntwo\n", ""),
            ("cat <<'EOF' > /tmp/h\n$HOME `x`\nEOF\ncat <<EOF\n$HOME $(echo in)\nEOF\ncat /tmp/h", 0, "/root in\n$HOME `x`\n", ""),
            ("echo \"$(hostname)-`whoami`\" # comment", 0, "pve1-root\n", ""),
            ("ls /none 2>/dev/null; echo rc=$?", 0, "rc=2\n", ""),
            ("(exit 4); echo $?; exit 7; echo never", 7, "4\n", ""),
            ("(exit 4); s=$?; echo $s $?; s=$(exit 3); echo $?", 0, "4 0\n3\n", ""),
            ("false || { s=$?; exit $s; }", 1, "", ""),
            ("set -e; false; echo never", 1, "", ""),
            ("set -o pipefail; false | true; echo $?", 0, "1\n", ""),
            ("bash -c 'echo $0 $1; exit 3' a b; echo $?", 0, "bash b\n3\n", ""),
            ("nosuch 2>&1 | cat", 0, "bash: line 1: nosuch: command not found\n", ""),
            ("sudo ls", 127, "", "bash: line 1: sudo: command not found\n"),
            ("apt-get install -y x", 127, "", "bash: line 1: apt-get: command not found\n"),
            ("echo 'unclosed", 2, "", "bash: -c: line 1: unexpected EOF while looking for matching `''\n"),
            ("printf '%s=%03d\\n' a 7 b 8", 0, "a=007\nb=008\n", ""),
            ("echo -e 'b\\na\\nb' | sort | uniq -c | sed -n 's/^ *//p'", 0, "1 a\n2 b\n", ""),
            ("echo 'a:b:c' | cut -d: -f2- | tr a-z A-Z", 0, "B:C\n", ""),
            ("printf 'x=1\\ny=2\\n' | grep -E '^(x|z)=' ; grep -q nothing /etc/hosts; echo $?", 0, "x=1\n1\n", ""),
            ("printf 'hello' | sha256sum | cut -c1-8; printf hello | md5sum | head -c 4", 0, "2cf24dba\n5d41", ""),
            ("printf hello | base64 | tee /tmp/b | base64 -d", 0, "hello", ""),
            ("command -v qm; which nosuch; echo $?", 0, "/usr/sbin/qm\n1\n", ""),
            ("mkdir -p /tmp/d/e && cp /etc/hostname /tmp/d/e/ && mv /tmp/d /tmp/f && cat /tmp/f/e/hostname && rm -r /tmp/f && ls /tmp/f", 2, "pve1\n", "ls: cannot access '/tmp/f': No such file or directory\n"),
            ("cat /etc/pve/nodes/pve2/qemu-server/9.conf", 1, "", "cat: /etc/pve/nodes/pve2/qemu-server/9.conf: No such file or directory\n"),
            ("ls /etc/pve/nodes /var/lib/vz/template/iso", 0, "/etc/pve/nodes:\npve1\npve2\npve3\n\n/var/lib/vz/template/iso:\ntruth.iso\n", ""),
            ("wget -q http://example.com/x.img; echo $?; curl -fsS http://example.com/ ; echo $?", 0, "4\n6\n", "curl: (6) Could not resolve host: example.com\n"),
        ],
    )
    .await;
    let said = nodes
        .on("pve2", "bash -s one", "hostname\nread line <<< 'in put'\necho \"$line $1\"\n")
        .await;
    assert_eq!((said.code, said.out.as_str()), (0, "pve2\nin put one\n"), "{said:?}");
    let said = nodes.on("pve1", "cat > /tmp/from-stdin; wc -c /tmp/from-stdin", "12345").await;
    assert_eq!(said.out.trim(), "5 /tmp/from-stdin");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_proxmox_ve_parse_and_refuse_as_the_real_ones() {
    let Some(nodes) = Nodes::truth().await else { return };
    play(
        &nodes,
        &[
            ("qm create 100 --name web --memory 1024 --foo 1", 255, "", "Unknown option: foo\n400 unable to parse option\nqm create <vmid> [OPTIONS]\n"),
            ("qm create", 255, "", "400 not enough arguments\nqm create <vmid> [OPTIONS]\n"),
            ("qm status 1 2", 255, "", "400 too many arguments\nqm status <vmid> [OPTIONS]\n"),
            ("qm create 100 --cores many", 255, "", "400 Parameter verification failed.\ncores: type check ('integer') failed - got 'many'\nqm create <vmid> [OPTIONS]\n"),
            ("qm create 100 -name=web -mem 1024 --scsi0 vmdata:1 --scsihw virtio-scsi-pci", 0,
             "Formatting '/var/lib/vmdata/images/100/vm-100-disk-0.raw', fmt=raw size=1073741824 preallocation=off\nscsi0: successfully created disk 'vmdata:100/vm-100-disk-0.raw,size=1G'\n", ""),
            ("qm create 100", 25, "", "unable to create VM 100 - VM 100 already exists on node 'pve1'\n"),
            ("qm list", 0, "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID       \n       100 web                  stopped    1024               1.00 0         \n", ""),
            ("qm disk import 100 /tmp/none.img vmdata", 2, "", "/tmp/none.img: non-existent or non-regular file\n"),
            ("qm disk import 100 /etc/hostname nosuch", 255, "", "storage 'nosuch' does not exist\n"),
            ("qm start 100 && qm status 100 && qm stop 100 && qm wait 100 && qm status 100", 0, "status: running\nstatus: stopped\n", ""),
            ("qm set 100 --lock backup; qm set 100 --cores 2; echo $?; qm unlock 100; qm set 100 --cores 2", 0,
             "update VM 100: -lock backup\n255\nupdate VM 100: -cores 2\n", "VM is locked (backup)\n"),
            ("grep cores /etc/pve/qemu-server/100.conf", 0, "cores: 2\n", ""),
            ("pvesh set /nodes/pve1/qemu/100/config --description 'two words'; pvesh get /nodes/pve1/qemu/100/config --output-format json | grep -o 'two words'", 0, "update VM 100: -description two words\ntwo words\n", ""),
            ("pvesh get /nosuch", 1, "", "No 'get' handler defined for '/nosuch'\n"),
            ("pvesh get /pools --output-format yaml", 0, "--- []\n", ""),
            ("pvesm apiinfo", 0, "APIVER 15\nAPIAGE 6\n", ""),
            ("pvesm path local:iso/truth.iso; pvesm path x:y", 255, "/var/lib/vz/template/iso/truth.iso\n", "storage 'x' does not exist\n"),
            ("pveum acl list --noborder --noheader", 0, "/    PvxOperator   user  pvx@pve     1\n/    PVEAuditor    user  viewer@pve  1\n/    Administrator user  admin@pve   1\n/vms PVEVMUser     token pvx@pve!sep 1\n", ""),
            ("pveum group add ops --comment Ops && pveum group list --output-format json", 0, "[{\"comment\":\"Ops\",\"groupid\":\"ops\",\"users\":\"\"}]\n", ""),
            ("pct list; qm showcmd 100", 255, "", "qm showcmd: not simulated\n"),
            ("qm destroy 100 --purge 1 && ls /etc/pve/qemu-server", 0, "purging VM 100 from related configurations..\n", ""),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_copied_both_ways() {
    let Some(nodes) = Nodes::truth().await else { return };
    let text = "#cloud-config\npackages: [x]\n";
    std::fs::write(nodes.path("user.yaml"), text).unwrap();
    let large: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(nodes.path("large.bin"), &large).unwrap();
    // The newer protocol of scp is sftp, `-O` asks for the one of old.
    for (flags, name) in [(&["-O"][..], "old"), (&[][..], "new")] {
        let to = format!(":/var/lib/vz/snippets/{name}.yaml");
        let said = nodes.copy("scp", flags, &nodes.path("user.yaml"), &to).await;
        assert_eq!(said.code, 0, "{said:?}");
        let volume =
            nodes.sim.world().volume("pve1", &format!("local:snippets/{name}.yaml")).cloned();
        assert_eq!(volume.unwrap().text.as_deref(), Some(text));
        let said = nodes.copy("scp", flags, &nodes.path("large.bin"), ":/tmp/").await;
        assert_eq!(said.code, 0, "{said:?}");
        let back = nodes.path(&format!("{name}.bin"));
        let said = nodes.copy("scp", flags, ":/tmp/large.bin", &back).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(std::fs::read(back).unwrap() == large);
        let said = nodes.copy("scp", flags, &nodes.path("user.yaml"), ":/none/x").await;
        assert_ne!(said.code, 0);
        let said = nodes.copy("scp", flags, ":/none", &nodes.path("x")).await;
        assert_ne!(said.code, 0);
    }
    std::fs::create_dir_all(nodes.path("tree/inner")).unwrap();
    std::fs::write(nodes.path("tree/inner/a"), "a").unwrap();
    for flags in [["-r", "-O"], ["-r", "-q"]] {
        let said = nodes.copy("scp", &flags, &nodes.path("tree"), ":/tmp").await;
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(nodes.run("cat /tmp/tree/inner/a && rm -r /tmp/tree").await.out, "a");
    }
    let said = nodes.run("pvesm list local --content snippets").await;
    assert!(said.out.contains("local:snippets/new.yaml snippet snippets"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_image_becomes_a_disk() {
    let Some(nodes) = Nodes::truth().await else { return };
    // The header of a qcow2 of 5 GiB.
    let mut image = b"QFI\xfb\0\0\0\x03".to_vec();
    image.resize(24, 0);
    image.extend((5u64 << 30).to_be_bytes());
    image.resize(65_536, 0);
    std::fs::write(nodes.path("cloud.img"), &image).unwrap();
    let said = nodes.copy("scp", &[], &nodes.path("cloud.img"), ":/tmp/cloud.img").await;
    assert_eq!(said.code, 0, "{said:?}");
    let script = "set -e
qemu-img info /tmp/cloud.img | grep virtual
qm create 9000 --name tpl --memory 512 --scsihw virtio-scsi-pci > /dev/null
qm importdisk 9000 /tmp/cloud.img shared | tail -1
qm set 9000 --scsi0 shared:9000/vm-9000-disk-0.raw --boot order=scsi0 > /dev/null
qm set 9000 --virtio1 shared:0,import-from=/tmp/cloud.img > /dev/null
qm disk resize 9000 scsi0 +1G
qm config 9000 | grep -E '^(scsi0|virtio1):'
qm template 9000
mv /etc/pve/qemu-server/9000.conf /etc/pve/nodes/pve2/qemu-server/
ls /etc/pve/qemu-server
";
    let said = nodes.on("pve1", "bash -s", script).await;
    assert_eq!(
        said,
        Said {
            code: 0,
            out: "virtual size: 5 GiB (5368709120 bytes)\nunused0: successfully imported disk 'shared:9000/vm-9000-disk-0.raw'\nImage resized.\nscsi0: shared:9000/vm-9000-disk-0.raw,size=6G\nvirtio1: shared:9000/vm-9000-disk-1.raw,size=5G\n".to_owned(),
            err: String::new(),
        }
    );
    let said = nodes.on("pve2", "qm list | tail -1; ls /mnt/shared/images/9000", "").await;
    assert!(said.out.contains("9000 tpl"), "{said:?}");
    assert!(said.out.contains("base-9000-disk-0.raw"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_log_in() {
    let Some(nodes) = Nodes::truth().await else { return };
    let mut arguments = nodes.options("pve1", "-p");
    arguments.extend(["admin@127.0.0.1".to_owned(), "true".to_owned()]);
    assert_eq!(nodes.client("ssh", arguments, b"").await.status.code(), Some(255));
    // With a section of its own the world lets in whom it names.
    let file = nodes.path("world.json");
    nodes.sim.world().save(Path::new(&file)).unwrap();
    let mut world: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    world["ssh"] = serde_json::json!({ "authorized_keys": [], "password": true });
    std::fs::write(&file, world.to_string()).unwrap();
    let strict = World::load(Path::new(&file)).unwrap();
    let Some(strict) = Nodes::start(strict, TimeScale::INSTANT).await else { return };
    assert_eq!(strict.run("true").await.code, 255);
    // The host keys are the world's: they stay.
    let keys = |nodes: &Nodes| {
        nodes.sim.ssh_addrs().iter().map(|ssh| ssh.host_key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&nodes), keys(&strict));
    assert_eq!(keys(&nodes).len(), 3);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", &strict.path("key")])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no ssh-keygen");
        return;
    }
    let public = std::fs::read_to_string(strict.path("key.pub")).unwrap();
    world["ssh"] = serde_json::json!({ "authorized_keys": [public.trim()] });
    std::fs::write(&file, world.to_string()).unwrap();
    let listed = World::load(Path::new(&file)).unwrap();
    let Some(listed) = Nodes::start(listed, TimeScale::INSTANT).await else { return };
    let mut arguments = listed.options("pve3", "-p");
    arguments.retain(|argument| argument != "IdentityFile=/dev/null");
    let at = arguments.iter().position(|argument| argument == "IdentitiesOnly=yes").unwrap();
    arguments.insert(at - 1, format!("IdentityFile={}", strict.path("key")));
    arguments.extend(["root@127.0.0.1".to_owned(), "hostname".to_owned()]);
    let said = Said::from(listed.client("ssh", arguments, b"").await);
    assert_eq!((said.code, said.out.as_str()), (0, "pve3\n"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_off_is_not_reached() {
    let Some(nodes) = Nodes::truth().await else { return };
    nodes.sim.edit(|world| world.set_node_online("pve2", false));
    assert_eq!(nodes.on("pve2", "true", "").await.code, 255);
    let said = nodes.run("pvecm status | grep -E '^(Nodes|Quorate|Total)'").await;
    assert_eq!(said.out, "Nodes:            2\nQuorate:          Yes\nTotal votes:      2\n");
}
