//! Makes requests up: from the table of endpoints with values good, odd and broken, and noise.

use pvx_sim::World;
use pvx_sim::direct::{Ask, Described, Direct};

const TOKENS: &[&str] = &[
    "root@pam!lab=11111111-2222-4333-8444-000000000001",
    "pvx@pve!cli=11111111-2222-4333-8444-000000000002",
    "pvx@pve!sep=11111111-2222-4333-8444-000000000003",
    "viewer@pve!ro=11111111-2222-4333-8444-000000000004",
    "admin@pve!adm=11111111-2222-4333-8444-000000000006",
    "nobody@pve!none=nonsense",
];

/// Values that break what is not careful.
const ODD: &[&str] = &[
    "",
    " ",
    "0",
    "-0",
    "-1",
    "1e9",
    "+5",
    "007",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "999999999",
    "1000000000",
    "0x10",
    "NaN",
    "inf",
    "\u{0}",
    "a\u{0}b",
    "\n",
    "a\nb: c",
    "\r\n",
    "\u{feff}",
    "ä",
    "日本語",
    "💥",
    "\u{202e}x",
    "e\u{301}",
    "İ",
    "ß",
    ":",
    ",",
    ";",
    "=",
    "a=b",
    "=,=",
    ",,,",
    "::",
    ":/",
    "a:b:c",
    "../../etc/passwd",
    "/",
    "//",
    "/dev/sda",
    "none",
    "none,media=cdrom",
    "null",
    "true",
    "[]",
    "{}",
    "{\"a\":1}",
    "%",
    "%00",
    "%zz",
    "'",
    "\"",
    "`id`",
    "$(id)",
    "*",
    "?",
    "local:",
    ":x",
    "local:0",
    "local:-1",
    "local:1e3",
    "local:99999999999",
    "local:1.5",
    "local:../x",
    "local:iso/../../x.iso",
    "local:999/vm-999-disk-0.raw",
    "-",
    "--",
    "a-",
    "-a",
    "_",
    "delete",
    "order=",
    "order=scsi0;scsi0",
    "size=",
    "size=0",
    "size=99999999T",
    "+99999999999G",
    "+1K",
    "-1G",
    "1G",
    "+0",
    "uuid=",
    "base64=1",
    "x,base64=1",
    "enabled=2",
    "cores=0",
    "file=",
    "file=local:1",
    "volume=local:1",
    "virtio=zz",
    "virtio,bridge=",
    "e1000=00:00:00:00:00:00,bridge=vmbr0",
    "ip=dhcp",
    "ip=1.2.3.4/33,gw=x",
    "ip6=::/129",
];

/// Values that are often right for a key or parameter.
const GOOD: &[(&str, &[&str])] = &[
    (
        "scsi",
        &[
            "local:1",
            "vmdata:2,discard=on",
            "shared:1,format=qcow2",
            "local:0,import-from=local:import/truth.qcow2",
            "none,media=cdrom",
            "local:iso/truth.iso,media=cdrom",
        ],
    ),
    ("virtio", &["local:1", "vmdata:1,iothread=1"]),
    ("sata", &["local:1", "local:iso/truth.iso,media=cdrom"]),
    ("ide", &["local:cloudinit", "none,media=cdrom", "vmdata:cloudinit"]),
    ("efidisk", &["local:1,efitype=4m", "vmdata:0"]),
    ("tpmstate", &["local:1,version=v2.0"]),
    ("net", &["virtio,bridge=vmbr0", "e1000=BC:24:11:AA:BB:CC,bridge=vmbr0,tag=5"]),
    ("ipconfig", &["ip=dhcp", "ip=192.0.2.5/24,gw=192.0.2.1"]),
    ("storage", &["local", "vmdata", "shared", "none"]),
    ("target", &["pve1", "pve2", "pve3", "pve9"]),
    ("disk", &["scsi0", "scsi1", "virtio0", "net0"]),
    ("delete", &["scsi0", "net0", "name", "description,tags", "unused0", "cipassword"]),
    ("revert", &["memory", "cores", "net0"]),
    ("name", &["web", "a.b.c", "x1"]),
    ("size", &["+1G", "5G", "2T", "10M"]),
    ("tags", &["a;b", "B,a", "x"]),
    ("memory", &["512", "2048", "current=1024"]),
    ("cores", &["1", "4"]),
    ("boot", &["order=scsi0;net0", "c"]),
    ("bios", &["ovmf", "seabios"]),
    ("agent", &["1", "enabled=1,fstrim_cloned_disks=1", "0"]),
    ("sshkeys", &["ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMyH%20me"]),
    ("snapname", &["one", "two", "current", "a-b"]),
    ("vmstate", &["0", "1"]),
    ("userid", &["a@pve", "b@pam", "root@pam", "pvx@pve"]),
    ("tokenid", &["t1", "cli", "lab"]),
    ("groupid", &["ops", "devs"]),
    ("roleid", &["Op", "PVEAdmin", "Administrator", "NoAccess"]),
    ("poolid", &["p", "p/q", "lab"]),
    ("path", &["/", "/vms/100", "/storage/local", "/pool/p", "/nodes/pve1"]),
    ("roles", &["PVEVMUser", "PVEAuditor", "PvxOperator"]),
    ("users", &["viewer@pve", "nobody@pve"]),
    ("privs", &["VM.Audit", "VM.Audit,VM.Clone"]),
    ("vms", &["100", "100,101", "vm:100"]),
    ("sid", &["vm:100", "101"]),
    ("resources", &["vm:100,vm:101"]),
    ("format", &["raw", "qcow2"]),
    ("full", &["0", "1"]),
    ("content", &["images", "iso", "images,iso"]),
    ("filename", &["vm-100-disk-7.raw", "x.iso", "a.qcow2"]),
    ("volume", &["local:iso/truth.iso", "vm-100-disk-0.raw", "iso/truth.iso"]),
    ("url", &["http://127.0.0.1/x.iso"]),
    ("digest", &["0000000000000000000000000000000000000000"]),
    ("command", &["start", "stop", "id"]),
];

const KEYS: &[&str] = &[
    "name",
    "memory",
    "cores",
    "sockets",
    "scsi0",
    "scsi1",
    "scsi30",
    "virtio0",
    "virtio15",
    "sata0",
    "ide2",
    "ide3",
    "efidisk0",
    "tpmstate0",
    "net0",
    "net1",
    "net31",
    "ipconfig0",
    "ipconfig1",
    "tags",
    "description",
    "boot",
    "agent",
    "bios",
    "machine",
    "cpu",
    "vga",
    "serial0",
    "ostype",
    "onboot",
    "protection",
    "template",
    "lock",
    "hotplug",
    "balloon",
    "shares",
    "startup",
    "smbios1",
    "vmgenid",
    "sshkeys",
    "ciuser",
    "cipassword",
    "cicustom",
    "citype",
    "nameserver",
    "searchdomain",
    "hookscript",
    "args",
    "usb0",
    "hostpci0",
    "numa",
    "numa0",
    "rng0",
    "unused0",
    "cdrom",
    "scsihw",
    "delete",
    "revert",
    "digest",
    "force",
    "skiplock",
    "affinity",
    "tablet",
    "kvm",
    "vcpus",
    "cpulimit",
    "cpuunits",
    "localtime",
    "freeze",
    "watchdog",
    "audio0",
    "ivshmem",
    "keyboard",
    "migrate_speed",
    "nosuch",
    "scsi31",
    "net32",
];

/// SplitMix64: the same requests for the same seed.
pub(crate) struct Maker {
    state: u64,
    endpoints: Vec<Described>,
    upids: Vec<String>,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        let upids = vec!["UPID:pve1:00000001:00000001:00000001:x:1:root@pam:".to_owned()];
        Self {
            state: seed.wrapping_mul(0xD134_2543_DE82_EF95),
            endpoints: Direct::endpoints(),
            upids,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    /// True once in so many times.
    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = self.below(from.len());
        from[at]
    }

    /// Sim ms until the next request.
    pub(crate) fn pause(&mut self) -> u32 {
        match self.below(20) {
            0 => 60_000,
            1..4 => 3000,
            4..8 => 200,
            _ => 1,
        }
    }

    /// Remembers UPIDs of answers.
    pub(crate) fn learn(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        if let Some(at) = text.find("UPID:")
            && let Some(end) = text[at..].find('"')
        {
            let upid = text[at..at + end].to_owned();
            if self.upids.len() > 50 {
                self.upids.remove(0);
            }
            self.upids.push(upid);
        }
    }

    pub(crate) fn request(&mut self, world: &World) -> Ask {
        if self.one_in(25) {
            return self.noise();
        }
        let at = self.below(self.endpoints.len());
        let endpoint = self.endpoints[at].clone();
        let mut method = endpoint.method.to_owned();
        if self.one_in(40) {
            method = self.pick(&["GET", "POST", "PUT", "DELETE", "PATCH", ""]).to_owned();
        }
        let path = self.path(endpoint.path, world);
        let mut pairs = Vec::new();
        for (name, kind) in &endpoint.params {
            if self.below(3) > 0 {
                continue;
            }
            let value = self.value(name, kind, world);
            pairs.push(((*name).to_owned(), value));
        }
        // What is asked for is most often given.
        if matches!(method.as_str(), "POST") && !self.one_in(3) {
            for (name, kind) in &endpoint.params {
                if !pairs.iter().any(|(given, _)| given == name)
                    && [
                        "newid", "target", "snapname", "storage", "disk", "size", "vmid", "userid",
                        "poolid",
                    ]
                    .contains(name)
                {
                    let value = self.value(name, kind, world);
                    pairs.push(((*name).to_owned(), value));
                }
            }
        }
        if endpoint.config_keys {
            for _ in 0..self.below(4) {
                let key = self.pick(KEYS);
                pairs.push((key.to_owned(), self.value(key, "Text", world)));
            }
        }
        if self.one_in(15) {
            let (name, value) = (self.odd(), self.odd());
            pairs.push((name, value));
        }
        self.dress(method, path, pairs)
    }

    fn dress(&mut self, method: String, path: String, pairs: Vec<(String, String)>) -> Ask {
        let mut ask = Ask { method, target: path, ..Ask::default() };
        let token = if self.below(3) > 0 { TOKENS[0] } else { self.pick(TOKENS) };
        if !self.one_in(100) {
            ask.authorization = Some(format!("PVEAPIToken={token}"));
        }
        let form: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        if !matches!(ask.method.as_str(), "POST" | "PUT") || self.one_in(10) {
            ask.target = format!("{}?{}", ask.target, form.join("&"));
            return ask;
        }
        if self.one_in(4) {
            ask.content_type = "application/json".to_owned();
            let members: serde_json::Map<String, serde_json::Value> =
                pairs.into_iter().map(|(name, value)| (name, self.json(value, 3))).collect();
            ask.body = serde_json::Value::Object(members).to_string().into_bytes();
        } else {
            ask.content_type = "application/x-www-form-urlencoded".to_owned();
            ask.body = form.join("&").into_bytes();
        }
        if self.one_in(30) {
            self.damage(&mut ask.body);
        }
        ask
    }

    fn json(&mut self, value: String, depth: usize) -> serde_json::Value {
        use serde_json::json;
        match self.below(14) {
            0 => json!(null),
            1 => json!(self.one_in(2)),
            2 => json!(self.next()),
            3 => json!(-1.5e300),
            4 if depth > 0 => json!([self.json(value, depth - 1), "x"]),
            5 if depth > 0 => json!({ "a": self.json(value, depth - 1) }),
            _ => value.parse::<i64>().map_or(json!(value), |number| json!(number)),
        }
    }

    fn damage(&mut self, body: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let (at, byte) = (self.below(body.len() + 1), self.below(256));
            body.insert(at, u8::try_from(byte).unwrap());
        }
        if self.one_in(5) {
            body.truncate(body.len() / 2);
        }
        if self.one_in(10) {
            *body = "[".repeat(5000).into_bytes();
        }
    }

    fn path(&mut self, template: &str, world: &World) -> String {
        let parts = template.split('/').map(|part| {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return part.to_owned();
            };
            let name = name.trim_start_matches('*');
            let value = self.value(name, "Path", world);
            // A volume's slashes and a UPID's colons may stand as they are.
            if name == "volume" && self.one_in(2) { value } else { escape(&value) }
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn value(&mut self, name: &str, kind: &str, world: &World) -> String {
        if self.one_in(12) {
            return self.odd();
        }
        match name {
            "node" => {
                return self
                    .pick(&["pve1", "pve1", "pve2", "pve3", "localhost", "pve9"])
                    .to_owned();
            }
            "vmid" if !self.one_in(6) => return self.guest(world),
            "newid" | "vmid" => return (100 + self.below(60)).to_string(),
            "upid" => {
                let at = self.below(self.upids.len());
                return self.upids[at].clone();
            }
            _ => {}
        }
        let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        if let Some((_, values)) = GOOD.iter().find(|(good, _)| *good == stem || *good == name) {
            return self.pick(values).to_owned();
        }
        let words: Vec<&str> = kind.split('"').skip(1).step_by(2).collect();
        if !words.is_empty() {
            return self.pick(&words).to_owned();
        }
        if kind.starts_with("Bool") {
            return self.pick(&["0", "1", "yes", "off"]).to_owned();
        }
        if kind.starts_with("Int") || kind.starts_with("Num") {
            return self.pick(&["0", "1", "2", "5", "50", "100", "1000", "-1"]).to_owned();
        }
        self.pick(&["a", "abc", "local", "pve1", "scsi0", "100", "x=y", "1"]).to_owned()
    }

    fn guest(&mut self, world: &World) -> String {
        let vmids: Vec<u32> = world.guests().map(|guest| guest.vmid).collect();
        if vmids.is_empty() {
            return "100".to_owned();
        }
        let at = self.below(vmids.len());
        vmids[at].to_string()
    }

    fn odd(&mut self) -> String {
        match self.below(30) {
            0 => "x".repeat(100_000),
            1 => "ä,".repeat(3000),
            2 => (0..self.below(40))
                .map(|_| char::from(u8::try_from(self.below(128)).unwrap()))
                .collect(),
            3 => (0..self.below(9))
                .filter_map(|_| char::from_u32(u32::try_from(self.below(0x11_0000)).unwrap()))
                .collect(),
            4 => format!("{}{}", self.pick(ODD), self.pick(ODD)),
            5 => {
                let (_, values) = GOOD[self.below(GOOD.len())];
                format!("{}{}", self.pick(values), self.pick(ODD))
            }
            _ => self.pick(ODD).to_owned(),
        }
    }

    fn noise(&mut self) -> Ask {
        let method =
            self.pick(&["GET", "POST", "PUT", "DELETE", "get", "PATCH", "\u{e4}"]).to_owned();
        let mut target = String::new();
        for _ in 0..self.below(6) {
            let part = match self.below(4) {
                0 => self.odd(),
                1 => self.pick(ODD).to_owned(),
                _ => self
                    .pick(&[
                        "nodes", "pve1", "qemu", "100", "cluster", "access", "storage", "..", "",
                    ])
                    .to_owned(),
            };
            target.push('/');
            target.push_str(&if self.one_in(2) { escape(&part) } else { part });
        }
        let body: Vec<u8> =
            (0..self.below(60)).map(|_| u8::try_from(self.below(256)).unwrap()).collect();
        let content_type = self
            .pick(&["", "application/json", "application/x-www-form-urlencoded", "text/x"])
            .to_owned();
        let authorization = Some(format!("PVEAPIToken={}", self.pick(TOKENS)));
        Ask { method, target, authorization, content_type, body }
    }
}

fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
