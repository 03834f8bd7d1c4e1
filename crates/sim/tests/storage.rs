//! Storages over HTTPS: configuration, volumes, uploads and downloads, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "helpers of tests"
)]

mod support;

use pvx_sim::{Options, Sim, Storage, StorageKind, TimeScale, UrlAnswer, Volume, World};
use serde_json::{Value, json};
use support::{Answer, Client, Who, wait_task};

const SECRET: &str = "11111111-2222-4333-8444-555555555555";

struct Lab {
    sim: Sim,
    client: Client,
    who: Who,
}

impl Lab {
    async fn of(mut world: World) -> Self {
        world.access_mut().add_token("root@pam", "test", SECRET, false);
        let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
        let sim = Sim::start(world, options).await.unwrap();
        Self { client: Client::new(sim.addr()), who: Who::token("root@pam!test", SECRET), sim }
    }

    async fn truth() -> Self {
        Self::of(World::truth()).await
    }

    async fn call(&self, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
        self.client.call(&self.who, method, path, params).await
    }

    async fn ended(&self, answer: &Answer) -> String {
        let upid = answer.body["data"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        let status = wait_task(&self.client, &self.who, upid).await;
        status["exitstatus"].as_str().unwrap_or_default().to_owned()
    }

    async fn log(&self, answer: &Answer) -> Vec<String> {
        let upid = answer.body["data"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        wait_task(&self.client, &self.who, upid).await;
        let node = upid.split(':').nth(1).unwrap();
        let path = format!("/nodes/{node}/tasks/{}/log", support::encode(upid));
        let lines = self.call("GET", &path, &[]).await.body["data"].clone();
        lines
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["t"].as_str().unwrap().to_owned())
            .collect()
    }

    /// `POST /storage/x?…` in one line: status, reason or the first error, or the exit of its task.
    async fn play(&self, line: &str) -> String {
        let (method, rest) = line.split_once(' ').unwrap();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let params: Vec<(&str, &str)> = pairs.collect();
        let answer = self.call(method, path, &params).await;
        if answer.body["data"].as_str().is_some_and(|data| data.starts_with("UPID:")) {
            return format!("task {}", self.ended(&answer).await);
        }
        if answer.status == 200 {
            return format!("200 {}", answer.body["data"]);
        }
        let errors = answer.body["errors"].as_object().cloned().unwrap_or_default();
        let errors: Vec<String> = errors
            .iter()
            .map(|(name, text)| format!("{name}: {}", text.as_str().unwrap().trim_end()))
            .collect();
        if errors.is_empty() {
            format!("{} {}", answer.status, answer.reason)
        } else {
            format!("{} {}", answer.status, errors.join("; "))
        }
    }

    async fn script(&self, steps: &[(&str, &str)]) {
        for (line, expected) in steps {
            assert_eq!(self.play(line).await, *expected, "{line}");
        }
    }
}

#[tokio::test]
async fn storages_are_made_changed_and_removed() {
    let lab = Lab::truth().await;
    lab.script(&[
        ("POST /storage?storage=a1&type=dir", "500 missing value for required option 'path'"),
        ("POST /storage?storage=a&type=dir&path=/x", "400 storage: invalid format - storage ID 'a' cannot be shorter than 2 characters"),
        ("POST /storage?type=dir&path=/x", "400 storage: property is missing and it is not optional"),
        ("POST /storage?storage=a1&type=dir&path=x", "400 path: invalid format - value does not look like a valid absolute path"),
        ("POST /storage?storage=a1&type=dir&path=/s p", "500 illegal path for directory storage: /s p"),
        ("POST /storage?storage=a1&type=dir&path=/srv/a//&vgname=pve", "500 unexpected property 'vgname'"),
        ("POST /storage?storage=a1&type=dir&path=/srv&content=images,none", "500 unable to combine 'none' with other content types"),
        ("POST /storage?storage=a1&type=dir&path=/srv&content=films", "400 content: invalid format - invalid content type 'films'"),
        ("POST /storage?storage=a1&type=dir&path=/srv/a//&content=iso,import&nodes=pve1", "200 {\"storage\":\"a1\",\"type\":\"dir\"}"),
        ("POST /storage?storage=a1&type=dir&path=/srv", "500 create storage failed: storage ID 'a1' already defined"),
        ("POST /storage?storage=n1&type=nfs&server=192.0.2.9&export=/e", "500 create storage failed: storage 'n1' is not online"),
        ("POST /storage?storage=t1&type=lvmthin&vgname=pve&thinpool=data", "500 create storage failed: no such logical volume pve/data"),
        ("POST /storage?storage=n1&type=nfs&server=192.0.2.9&export=/e&disable=1", "200 {\"storage\":\"n1\",\"type\":\"nfs\"}"),
        ("GET /nodes/pve1/storage/n1/content", "500 storage 'n1' is disabled"),
        ("GET /nodes/pve2/storage/a1/content", "500 storage 'a1' is not available on node 'pve2'"),
        ("GET /nodes/pve2/storage?storage=no", "400 storage: No such storage."),
        ("PUT /storage/a1?path=/y", "400 path: property is not defined in schema and the schema does not allow additional properties"),
        ("PUT /storage/a1?delete=path", "500 update storage failed: unable to delete required option 'path'"),
        ("PUT /storage/a1?delete=sparse", "500 update storage failed: no such option 'sparse'"),
        ("PUT /storage/a1?delete=nodes&nodes=pve2", "500 update storage failed: cannot set and delete property 'nodes' at the same time!"),
        ("PUT /storage/a1?snapshot-as-volume-chain=1", "500 update storage failed: can't change value of fixed parameter 'snapshot-as-volume-chain'"),
        ("PUT /storage/a1?digest=x", "500 update storage failed: detected modified configuration - file changed by other user? Try again."),
        ("PUT /storage/no?disable=1", "500 update storage failed: storage 'no' does not exist"),
        ("PUT /storage/a1?delete=nodes&prune-backups=keep-last=3", "200 {\"storage\":\"a1\",\"type\":\"dir\"}"),
        ("PUT /storage/a1?prune-backups=keep-last=x", "400 prune-backups: invalid format - format error\nprune-backups.keep-last: type check ('integer') failed - got 'x'"),
        ("POST /storage?storage=g1&type=lvm&vgname=none&content=images", "200 {\"storage\":\"g1\",\"type\":\"lvm\"}"),
        ("GET /nodes/pve1/storage/g1/content", "200 []"),
        ("GET /nodes/pve1/storage/g1/status", "200 {\"active\":0,\"avail\":0,\"content\":\"images\",\"enabled\":1,\"shared\":0,\"total\":0,\"type\":\"lvm\",\"used\":0}"),
        ("POST /nodes/pve1/storage/g1/content?vmid=100&size=1G&filename=vm-100-a", "500 no such volume group 'none'"),
        ("DELETE /storage/g1", "200 null"),
        ("POST /storage?storage=g1&type=lvm&vgname=none&base=local:x", "500 create storage failed: unsupported base type 'dir' at /usr/share/perl5/PVE/Storage/LVMPlugin.pm line 489."),
        ("POST /storage?storage=e1&type=esxi&server=192.0.2.9&username=root", "500 create storage failed: missing password"),
        ("POST /storage?storage=b1&type=pbs&server=192.0.2.9&datastore=d&disable=1", "200 {\"config\":{},\"storage\":\"b1\",\"type\":\"pbs\"}"),
        ("DELETE /storage/b1", "200 null"),
        ("POST /storage?storage=m1&type=dir&path=/srv/m&is_mountpoint=1", "500 create storage failed: unable to activate storage 'm1' - directory is expected to be a mount point but is not mounted: '/srv/m'"),
        ("POST /storage?storage=m1&type=dir&path=/srv/m&create-base-path=0", "500 create storage failed: unable to activate storage 'm1' - directory '/srv/m' does not exist or is unreachable"),
        ("POST /storage?storage=m1&type=dir&path=/srv&mkdir=0", "200 {\"storage\":\"m1\",\"type\":\"dir\"}"),
        ("DELETE /storage/m1", "200 null"),
        ("POST /storage?storage=m1&type=dir&path=/srv/m&is_mountpoint=1&disable=1", "200 {\"storage\":\"m1\",\"type\":\"dir\"}"),
        ("PUT /storage/m1?disable=0&content=none&shared=0", "200 {\"storage\":\"m1\",\"type\":\"dir\"}"),
        ("GET /nodes/pve1/storage/m1/status", "200 {\"active\":0,\"avail\":0,\"content\":\"none\",\"enabled\":1,\"shared\":0,\"total\":0,\"type\":\"dir\",\"used\":0}"),
        ("DELETE /storage/m1", "200 null"),
        ("GET /nodes/pve2/storage/a1/content", "200 []"),
        ("DELETE /storage/no", "500 delete storage failed: storage 'no' does not exist"),
        ("DELETE /storage/n1", "200 null"),
        ("GET /storage/n1", "500 storage 'n1' does not exist"),
    ])
    .await;
    let one = lab.call("GET", "/storage/a1", &[]).await.body["data"].clone();
    assert_eq!((&one["path"], &one["content"]), (&json!("/srv/a"), &json!("iso,import")));
    // `disable` is there or not, another flag keeps its 0; folders are no text.
    lab.play("PUT /storage/a1?disable=0&shared=0&content-dirs=iso=isos").await;
    let one = lab.call("GET", "/storage/a1", &[]).await.body["data"].clone();
    assert_eq!(
        (one.get("disable"), &one["shared"], &one["content-dirs"]),
        (None, &json!(0), &json!({"iso": "isos"}))
    );
    assert!(
        lab.sim.world().storage_cfg().contains("dir: a1\n\tpath /srv/a\n\tcontent iso,import\n")
    );
}

#[tokio::test]
async fn who_may() {
    let lab = Lab::of(World::truth()).await;
    lab.sim.edit(|world| world.access_mut().add_token("see@pve", "test", SECRET, false));
    let who = Who::token("see@pve!test", SECRET);
    for (method, path, expected) in [
        ("POST", "/storage", "Permission check failed (/storage, Datastore.Allocate)"),
        ("DELETE", "/storage/local", "Permission check failed (/storage, Datastore.Allocate)"),
        (
            "GET",
            "/nodes/pve1/storage/local/status",
            "Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)",
        ),
        (
            "POST",
            "/nodes/pve1/storage/local/content",
            "Permission check failed (/storage/local, Datastore.AllocateSpace)",
        ),
        (
            "DELETE",
            "/nodes/pve1/storage/local/content/iso/truth.iso",
            "Permission check failed (/storage/local, Datastore.Allocate)",
        ),
        ("GET", "/nodes/pve1/scan/zfs", "Permission check failed (/storage, Datastore.Allocate)"),
    ] {
        let answer = lab.client.call(&who, method, path, &[]).await;
        assert_eq!((answer.status, answer.reason.as_str()), (403, expected), "{method} {path}");
    }
    let list = lab.client.call(&who, "GET", "/nodes/pve1/storage", &[]).await;
    assert_eq!(list.body["data"], json!([]));
}

#[tokio::test]
async fn volumes_are_made_shown_and_freed() {
    let lab = Lab::truth().await;
    let c = "/nodes/pve1/storage/vmdata/content";
    lab.script(&[
        (&format!("POST {c}?vmid=100&size=1G&filename=vm-100-disk-5.qcow2"), "200 \"vmdata:100/vm-100-disk-5.qcow2\""),
        (&format!("POST {c}?vmid=100&size=1G&filename=vm-100-disk-5.qcow2"), "500 disk image '/var/lib/vmdata/images/100/vm-100-disk-5.qcow2' already exists"),
        (&format!("POST {c}?vmid=100&size=1T&filename=a.raw"), "400 size: value does not match the regex pattern"),
        (&format!("POST {c}?vmid=100&size=512&filename=a.raw&format=qcow2"), "400 format: different storage formats (qcow2 != raw)"),
        (&format!("POST {c}?vmid=100&size=512&filename=a"), "500 unable to parse volume filename 'a'"),
        (&format!("GET {c}/100/nope.raw"), "500 volume_size_info on 'vmdata:100/nope.raw' failed - no format"),
        (&format!("GET {c}/local:iso/truth.iso"), "400 volume: storage ID mismatch (local != vmdata)"),
        (&format!("GET {c}/what"), "500 unable to parse directory volume name 'what'"),
        (&format!("GET {c}/100/vm-100-disk-5.qcow2"), "200 {\"format\":\"qcow2\",\"path\":\"/var/lib/vmdata/images/100/vm-100-disk-5.qcow2\",\"size\":1073741824,\"used\":331776}"),
        (&format!("PUT {c}/100/vm-100-disk-5.qcow2?notes=x"), "500 only backups can have notes"),
        (&format!("DELETE {c}/vmdata:100/vm-100-disk-5.qcow2?delay=5"), "200 null"),
        (&format!("DELETE {c}/vmdata:100/vm-100-disk-5.qcow2"), "task OK"),
    ])
    .await;
    let again = lab.call("DELETE", &format!("{c}/100/vm-100-disk-5.qcow2"), &[]).await;
    assert_eq!(
        lab.log(&again).await,
        [
            "disk image '/var/lib/vmdata/images/100/vm-100-disk-5.qcow2' does not exist",
            "Removed volume 'vmdata:100/vm-100-disk-5.qcow2'",
            "TASK OK"
        ]
    );
}

fn form(fields: &[(&str, &str)], file: (&str, &str, &str)) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        out.push_str(&format!(
            "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    let (field, name, content) = file;
    out.push_str(&format!(
        "--B\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n--B--\r\n"
    ));
    out
}

async fn upload(lab: &Lab, storage: &str, body: &str) -> Answer {
    let path = format!("/nodes/pve1/storage/{storage}/upload");
    lab.client.raw(&lab.who, "POST", &path, "multipart/form-data; boundary=B", body).await
}

#[tokio::test]
async fn uploads() {
    let lab = Lab::truth().await;
    let sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let sum = [("content", "iso"), ("checksum-algorithm", "sha256"), ("checksum", sha)];
    let good = upload(&lab, "local", &form(&sum, ("filename", "my disk.iso", "hello"))).await;
    let log = lab.log(&good).await;
    assert!(log[0].starts_with("starting file import from: /var/tmp/pveupload-"), "{log:?}");
    assert_eq!(log[1], "calculating checksum...OK, checksum verified");
    assert_eq!(
        log[2..5],
        [
            "target node: pve1",
            "target file: /var/lib/vz/template/iso/my_disk.iso",
            "file size is: 5"
        ]
    );
    assert_eq!(log[6..], ["finished file import successfully", "TASK OK"]);
    assert_eq!(lab.sim.world().volume("pve1", "local:iso/my_disk.iso").unwrap().used, 5);

    let bad = [("content", "iso"), ("checksum-algorithm", "md5"), ("checksum", "00")];
    let answer = upload(&lab, "local", &form(&bad, ("filename", "b.iso", "hello"))).await;
    assert_eq!(
        lab.ended(&answer).await,
        "checksum mismatch: got '5d41402abc4b2a76b9719d911017c592' != expect '00'"
    );
    let import = [("content", "import")];
    let answer = upload(&lab, "local", &form(&import, ("filename", "b.qcow2", "hello"))).await;
    assert!(lab.ended(&answer).await.ends_with("': Image is not in qcow2 format"));
    let answer = upload(&lab, "local", &form(&import, ("filename", "b.raw", "hello"))).await;
    assert_eq!(lab.ended(&answer).await, "OK");

    let iso = [("content", "iso")];
    let cases: [(&str, &str, &[(&str, &str)], (&str, &str, &str), u16, &str); 7] = [
        ("local", "iso", &iso, ("filename", "b.txt", "x"), 400, "wrong file extension"),
        (
            "local",
            "import",
            &import,
            ("filename", "b.img", "x"),
            400,
            "invalid filename or wrong extension",
        ),
        (
            "vmdata",
            "iso",
            &iso,
            ("filename", "b.iso", "x"),
            500,
            "storage 'vmdata' does not support 'iso' content",
        ),
        ("nosuch", "iso", &iso, ("filename", "b.iso", "x"), 500, "storage 'nosuch' does not exist"),
        (
            "local",
            "order",
            &[("checksum", "1"), ("content", "iso")],
            ("filename", "b.iso", "x"),
            400,
            "Bad Request",
        ),
        (
            "local",
            "field",
            &iso,
            ("file", "b.iso", "x"),
            500,
            "wrong field name 'file' for file upload, expected 'filename' at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1325.",
        ),
        (
            "local",
            "snippets",
            &[("content", "snippets")],
            ("filename", "b.yaml", "x"),
            400,
            "value 'snippets' does not have a value in the enumeration 'iso, vztmpl, import'",
        ),
    ];
    for (storage, what, fields, file, status, expected) in cases {
        let answer = upload(&lab, storage, &form(fields, file)).await;
        let errors = answer.body["errors"].as_object().cloned().unwrap_or_default();
        let text = errors.values().next().and_then(Value::as_str).unwrap_or(&answer.reason);
        assert_eq!((answer.status, text), (status, expected), "{what}");
    }
    lab.script(&[
        ("POST /nodes/pve1/storage/local/upload", "400 content: property is missing and it is not optional; filename: property is missing and it is not optional"),
    ])
    .await;
    lab.sim.edit(|world| world.access_mut().add_token("see@pve", "test", SECRET, false));
    let who = Who::token("see@pve!test", SECRET);
    let body = form(&iso, ("filename", "b.iso", "x"));
    let path = "/nodes/pve1/storage/local/upload";
    let answer = lab.client.raw(&who, "POST", path, "multipart/form-data; boundary=B", &body).await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (403, "Permission check failed (/storage/local, Datastore.AllocateTemplate)")
    );
}

#[tokio::test]
async fn downloads_from_the_world_and_from_nowhere() {
    let mut world = World::truth();
    let url = "https://images.example/debian.qcow2";
    let answer = UrlAnswer {
        size: 300 << 20,
        virtual_size: 3 << 30,
        format: "qcow2".into(),
        checksums: [("sha256".to_owned(), "ab".repeat(32))].into(),
        bootable: true,
        ..UrlAnswer::default()
    };
    world.set_url(url, answer);
    world.set_url(
        "http://images.example/gone.iso",
        UrlAnswer { status: 404, ..UrlAnswer::default() },
    );
    let lab = Lab::of(world).await;
    let d = "/nodes/pve1/storage/local/download-url";
    let fetch = [("url", url), ("content", "import"), ("filename", "debian.qcow2")];
    let got = lab.call("POST", d, &fetch).await;
    let log = lab.log(&got).await;
    assert_eq!(
        log.first().map(String::as_str),
        Some("downloading https://images.example/debian.qcow2 to /var/lib/vz/import/debian.qcow2")
    );
    assert_eq!(log.last().map(String::as_str), Some("TASK OK"), "{log:?}");
    let world = lab.sim.world();
    let volume = world.volume("pve1", "local:import/debian.qcow2").unwrap();
    assert_eq!((volume.size, volume.used, volume.bootable), (3 << 30, 300 << 20, true));
    let again = lab.call("POST", d, &fetch).await;
    assert_eq!(
        lab.ended(&again).await,
        "refusing to override existing file '/var/lib/vz/import/debian.qcow2'"
    );
    let sum = "ab".repeat(32);
    let same = [("checksum-algorithm", "sha256"), ("checksum", sum.as_str())];
    let again = lab.call("POST", d, &[fetch.as_slice(), same.as_slice()].concat()).await;
    assert_eq!(lab.ended(&again).await, "OK");
    let q = |params: &str| format!("POST {d}?{params}");
    let steps = [
        (q("url=http://127.0.0.1:9/n.iso&content=iso&filename=n.iso"), "task download failed: Connecting to 127.0.0.1:9... failed: Connection refused."),
        (q("url=http://no.example/n.iso&content=iso&filename=n.iso"), "task download failed: wget: unable to resolve host address 'no.example'"),
        (q("url=ftp://no.example/n.iso&content=iso&filename=n.iso"), "400 url: value does not match the regex pattern"),
        (q("url=http://no.example/n.iso&content=iso&filename=n.txt"), "400 filename: wrong file extension"),
        (q("url=http://no.example/n.iso&content=iso&filename=n.iso&checksum=a"), "400 checksum-algorithm: missing property required by 'checksum'"),
        (q("url=http://no.example/n.qcow2&content=import&filename=n.qcow2&compression=zst"), "task decompression not supported for import"),
        (format!("GET /nodes/pve1/query-url-metadata?url={url}"), "200 {\"filename\":\"debian.qcow2\",\"mimetype\":\"application/octet-stream\",\"size\":314572800}"),
        ("GET /nodes/pve1/query-url-metadata?url=http://no.example/x".to_owned(), "500 invalid server response: '500 Can't connect to no.example:80 (Name or service not known)'"),
        ("GET /nodes/pve1/query-url-metadata?url=http://images.example/gone.iso".to_owned(), "500 invalid server response: '404 Not Found'"),
        ("POST /nodes/pve1/storage/vmdata/download-url?url=http://a/b&content=iso&filename=b.iso".to_owned(), "500 storage 'vmdata' is not configured for content-type 'iso'"),
    ];
    for (line, expected) in &steps {
        assert_eq!(lab.play(line).await, *expected, "{line}");
    }
}

/// A server that gives one file, to GET and HEAD, until the test ends.
async fn file_server(bytes: Vec<u8>) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = vec![0; 4096];
            let got = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..got]).into_owned();
            let found = request.contains(" /x.");
            let line = if found { "200 OK" } else { "404 Not Found" };
            let head = format!(
                "HTTP/1.1 {line}\r\nContent-Length: {}\r\nContent-Type: application/x-disk\r\nConnection: close\r\n\r\n",
                bytes.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            if request.starts_with("GET") {
                let _ = stream.write_all(&bytes).await;
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn loopback_urls_are_really_fetched() {
    let mut image = vec![0; 200_000];
    image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    image[24..32].copy_from_slice(&(5_u64 << 30).to_be_bytes());
    let base = file_server(image).await;
    let lab = Lab::truth().await;
    let d = "/nodes/pve2/storage/local/download-url";
    let line = format!("POST {d}?url={base}/x.qcow2&content=import&filename=x.qcow2");
    assert_eq!(lab.play(&line).await, "task OK");
    let world = lab.sim.world();
    let volume = world.volume("pve2", "local:import/x.qcow2").unwrap();
    assert_eq!((volume.size, volume.used), (5 << 30, 200_000));
    let line = format!("POST {d}?url={base}/x.vmdk&content=import&filename=x.vmdk");
    let exit = lab.play(&line).await;
    assert!(exit.starts_with("task failed to verify file: qemu-img: Could not open '/var/lib/vz/import/x.vmdk.tmp_dwnl."), "{exit}");
    let gone = lab.play(&format!("POST {d}?url={base}/y.iso&content=iso&filename=y.iso")).await;
    assert!(gone.ends_with(" ERROR 404: Not Found."), "{gone}");
    let line = format!(
        "POST {d}?url={base}/x.iso&content=iso&filename=x.iso&checksum-algorithm=sha1&checksum=00"
    );
    let exit = lab.play(&line).await;
    assert!(
        exit.starts_with("task checksum mismatch: got '") && exit.ends_with("' != expect '00'")
    );
    let line = format!("GET /nodes/pve1/query-url-metadata?url={base}/x.iso");
    assert_eq!(
        lab.play(&line).await,
        "200 {\"filename\":\"x.iso\",\"mimetype\":\"application/x-disk\",\"size\":200000}"
    );
}

#[tokio::test]
async fn types_differ() {
    let mut world = World::lab();
    for (id, kind) in
        [("tank", StorageKind::ZfsPool), ("ceph", StorageKind::Rbd), ("lvm1", StorageKind::Lvm)]
    {
        let mut storage = Storage::new(id, kind, kind == StorageKind::Rbd, &["images"], 8 << 30);
        storage.options.insert("pool".into(), "tank".into());
        storage.options.insert("vgname".into(), "vg".into());
        world.add_storage(storage);
    }
    let lab = Lab::of(world).await;
    let q = "/nodes/pve1/qemu";
    for (id, disk, base, linked) in [
        ("tank", "vm-300-disk-0", "base-300-disk-0", "base-300-disk-0/vm-301-disk-0"),
        ("ceph", "vm-300-disk-0", "base-300-disk-0", "base-300-disk-0/vm-301-disk-0"),
        ("local-lvm", "vm-300-disk-0", "base-300-disk-0", "vm-301-disk-0"),
    ] {
        let create = format!("POST {q}?vmid=300&scsi0={id}:1");
        assert_eq!(lab.play(&create).await, "task OK", "{id}");
        let scsi0 = |vmid: u32| {
            let world = lab.sim.world();
            world.guest(vmid).unwrap().get("scsi0").unwrap().split(',').next().unwrap().to_owned()
        };
        assert_eq!(scsi0(300), format!("{id}:{disk}"));
        assert_eq!(lab.play(&format!("POST {q}/300/template")).await, "task OK");
        assert_eq!(scsi0(300), format!("{id}:{base}"));
        assert_eq!(lab.play(&format!("POST {q}/300/clone?newid=301")).await, "task OK");
        assert_eq!(scsi0(301), format!("{id}:{linked}"));
        let path = format!("/nodes/pve1/storage/{id}/content");
        let content = lab.call("GET", &path, &[("vmid", "301")]).await;
        assert_eq!(content.body["data"][0]["volid"], json!(format!("{id}:{linked}")));
        let free = format!("DELETE /nodes/pve1/storage/{id}/content/{base}");
        if id != "local-lvm" {
            assert_eq!(
                lab.play(&free).await,
                "task base volume 'base-300-disk-0' is still in use by linked clones"
            );
        }
        assert_eq!(lab.play(&format!("DELETE {q}/301")).await, "task OK");
        assert_eq!(lab.play(&format!("DELETE {q}/300")).await, "task OK");
    }
    // Thick volumes count at once, and the pool fills up.
    lab.script(&[
        ("POST /nodes/pve1/storage/tank/content?vmid=300&size=6G&filename=vm-300-a", "200 \"tank:vm-300-a\""),
        ("POST /nodes/pve1/storage/tank/content?vmid=300&size=6G&filename=vm-300-b", "500 zfs error: cannot create 'tank/vm-300-b': out of space"),
        ("POST /nodes/pve1/storage/lvm1/content?vmid=300&size=9G&filename=vm-300-a", "500 lvcreate 'vg/vm-300-a' error:   Volume group \"vg\" has insufficient free space (2048 extents): 2304 required."),
        ("GET /nodes/pve1/scan/zfs", "200 [{\"free\":2147483648,\"pool\":\"tank\",\"size\":8589934592}]"),
        ("GET /nodes/pve1/scan/lvmthin?vg=pve", "200 [{\"lv\":\"data\"}]"),
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_be_reached_and_what_formats_there_are() {
    let lab = Lab::truth().await;
    lab.sim.edit(|world| {
        let mut storage = world.storages().find(|storage| storage.id == "vmdata").unwrap().clone();
        storage.unreachable = vec!["pve2".into()];
        world.add_storage(storage);
    });
    let status =
        lab.call("GET", "/nodes/pve2/storage/vmdata/status", &[]).await.body["data"].clone();
    assert_eq!(
        (&status["active"], &status["enabled"], &status["total"]),
        (&json!(0), &json!(1), &json!(0))
    );
    lab.script(&[
        ("GET /nodes/pve2/storage/vmdata/content", "500 unable to activate storage 'vmdata' - directory '/var/lib/vmdata' does not exist or is unreachable"),
        ("GET /nodes/pve1/storage/vmdata/content", "200 []"),
    ])
    .await;
    let list =
        lab.call("GET", "/nodes/pve1/storage", &[("format", "1"), ("storage", "vmdata")]).await;
    let one = &list.body["data"][0];
    assert_eq!(
        one["formats"],
        json!({ "supported": ["qcow2", "raw", "subvol", "vmdk"], "default": "raw" })
    );
    assert_eq!(one["format"][1], json!("raw"));
}

#[tokio::test]
async fn backups_are_noted_protected_and_pruned() {
    let mut world = World::truth();
    for day in 20..24 {
        let name = format!("local:backup/vzdump-qemu-100-2026_11_{day}-01_00_00.vma.zst");
        let volume = Volume {
            content: "backup".into(),
            format: "vma.zst".into(),
            used: 1000,
            size: 1000,
            vmid: Some(100),
            ..Volume::default()
        };
        world.add_volume("pve1", &name, volume);
    }
    let lab = Lab::of(world).await;
    let s = "/nodes/pve1/storage/local";
    let first = format!("{s}/content/backup/vzdump-qemu-100-2026_11_20-01_00_00.vma.zst");
    lab.script(&[
        (&format!("PUT {first}?notes=gold&protected=1"), "200 null"),
        (&format!("DELETE {first}"), "task cannot remove protected volume 'backup/vzdump-qemu-100-2026_11_20-01_00_00.vma.zst' on 'local'"),
        (&format!("DELETE {s}/prunebackups?prune-backups=keep-last=1"), "task OK"),
        ("GET /nodes/pve1/storage/vmdata/prunebackups", "500 storage 'vmdata' does not support backups"),
    ])
    .await;
    let list = lab.call("GET", &format!("{s}/content"), &[("content", "backup")]).await;
    let brief: Vec<(String, Value, Value)> = list.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["volid"].as_str().unwrap()[29..39].to_owned(),
                item["notes"].clone(),
                item["protected"].clone(),
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("2026_11_20".to_owned(), json!("gold"), json!(1)),
            ("2026_11_23".to_owned(), Value::Null, Value::Null)
        ]
    );
}
