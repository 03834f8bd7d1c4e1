//! Makes requests up: from the table of endpoints with values good, odd and broken, and noise.

use pvx_sim::World;
use pvx_sim::direct::{Ask, Described, Direct, Parameter};

use super::words::{GOOD, ODD};

pub(crate) const TOKENS: &[&str] = &[
    "root@pam!lab=11111111-2222-4333-8444-000000000001",
    "pvx@pve!cli=11111111-2222-4333-8444-000000000002",
    "pvx@pve!sep=11111111-2222-4333-8444-000000000003",
    "viewer@pve!ro=11111111-2222-4333-8444-000000000004",
    "admin@pve!adm=11111111-2222-4333-8444-000000000006",
    "nobody@pve!none=nonsense",
];

/// What may be changed in a request that is right otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Everything that is asked for, and a little more, all valid.
    Right,
    /// The same with one or two values odd.
    Off,
    /// Anything.
    Wild,
}

/// SplitMix64: the same requests for the same seed.
pub(crate) struct Maker {
    state: u64,
    endpoints: Vec<Described>,
    keys: Vec<String>,
    pub(crate) upids: Vec<String>,
    /// Nothing is asked that leaves volumes without guests or guests without volumes.
    gentle: bool,
}

/// What may leave loose ends on a real node, too: volumes made and freed by hand, storages taken
/// away, tasks and processes killed, guests moved by high availability, locks set by hand.
fn rough(endpoint: &Described) -> bool {
    let path = endpoint.path;
    endpoint.method != "GET"
        && (path.contains("/content")
            || path.starts_with("/storage")
            || path.starts_with("/cluster/ha")
            || path.contains("/tasks")
            || path.contains("prunebackups")
            || path.starts_with("/access"))
}

impl Maker {
    pub(crate) fn new(seed: u64, gentle: bool) -> Self {
        let upids = vec!["UPID:pve1:00000001:00000001:00000001:x:1:root@pam:".to_owned()];
        let mut endpoints = Direct::endpoints();
        endpoints.retain(|endpoint| !gentle || !rough(endpoint));
        let keys = Direct::config_keys();
        let state = seed.wrapping_mul(0xD134_2543_DE82_EF95);
        Self { state, endpoints, keys, upids, gentle }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = self.below(from.len());
        from[at]
    }

    pub(crate) fn pick_own(&mut self, from: &[String]) -> Option<String> {
        let at = self.below(from.len());
        from.get(at).cloned()
    }

    /// Sim ms until the next request.
    pub(crate) fn pause(&mut self) -> u32 {
        match self.below(20) {
            0 => 60_000,
            1..5 => 3000,
            5..9 => 200,
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
        if self.one_in(33) && !self.gentle {
            return self.noise();
        }
        let mood = match self.below(10) {
            _ if self.gentle => Mood::Right,
            0..6 => Mood::Right,
            6..9 => Mood::Off,
            _ => Mood::Wild,
        };
        let endpoint = self.endpoint(world);
        let mut method = endpoint.method.to_owned();
        if mood != Mood::Right && self.one_in(20) {
            method = self.pick(&["GET", "POST", "PUT", "DELETE", "PATCH", ""]).to_owned();
        }
        let vmid = self.guest(world);
        let (path, node) = self.path(&endpoint, world, vmid, mood == Mood::Wild);
        let mut pairs = self.params(&endpoint, mood, world, vmid, &node);
        if mood == Mood::Off {
            for _ in 0..=self.below(2) {
                let at = self.below(pairs.len() + 1);
                let value = self.odd();
                match pairs.get_mut(at) {
                    Some(pair) => pair.1 = value,
                    None => pairs.push((self.odd(), value)),
                }
            }
        }
        self.dress(method, path, pairs, mood)
    }

    /// Half of the requests are for guests; the more there are, the more are removed.
    fn endpoint(&mut self, world: &World) -> Described {
        let full = world.guests().count() > 25;
        for _ in 0..50 {
            let at = self.below(self.endpoints.len());
            let one = &self.endpoints[at];
            let (read, path) = (one.method == "GET", one.path);
            let guests = path.starts_with("/nodes/{node}/qemu");
            let removes = one.method == "DELETE" && path.ends_with("{vmid}");
            // There are many of these, and they change little.
            let many = ["/agent", "/firewall", "proxy", "websocket"];
            if many.iter().any(|part| path.contains(part)) && !self.one_in(6) {
                continue;
            }
            let keep = match (guests, read) {
                (_, true) => self.one_in(4),
                (true, false) if removes => full || self.one_in(4),
                (true, false) => true,
                (false, false) => self.one_in(3),
            };
            if keep {
                return self.endpoints[at].clone();
            }
        }
        self.endpoints[0].clone()
    }

    fn params(
        &mut self,
        endpoint: &Described,
        mood: Mood,
        world: &World,
        vmid: u32,
        node: &str,
    ) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let spare = endpoint.params.iter().filter(|param| !param.required).count();
        let wanted = self.below(3);
        for param in &endpoint.params {
            let given = match mood {
                Mood::Wild => self.one_in(3),
                _ => param.required || self.below(spare) < wanted,
            };
            // Locks and removal by hand leave loose ends.
            let loose = ["skiplock", "migratedfrom", "stateuri", "pool"];
            if !given || (!param.required && mood == Mood::Right && loose.contains(&&*param.name)) {
                continue;
            }
            let value = match mood {
                Mood::Wild if self.one_in(6) => self.odd(),
                _ => self.value(param, world, vmid, node),
            };
            pairs.push((param.name.clone(), value));
        }
        if endpoint.config_keys {
            let hands_on = ["lock", "digest", "template", "vmstate"];
            for _ in 0..=self.below(4) {
                let Some(key) = self.key() else { continue };
                let Some(param) = Parameter::config(&key) else { continue };
                let taken = pairs.iter().any(|(name, _)| *name == key);
                let by_hand = hands_on.contains(&&*key) || key.starts_with("unused");
                if taken || (self.gentle && by_hand) {
                    continue;
                }
                let value = self.value(&param, world, vmid, node);
                pairs.push((key, value));
            }
        }
        pairs
    }

    /// A key of a guest's configuration: a disk or a card half of the time, and few of each.
    fn key(&mut self) -> Option<String> {
        if self.one_in(2) {
            let usual = [
                "scsi0",
                "scsi1",
                "scsi2",
                "virtio0",
                "sata0",
                "ide2",
                "ide0",
                "net0",
                "net1",
                "efidisk0",
                "tpmstate0",
                "memory",
                "cores",
                "ipconfig0",
                "name",
                "boot",
                "tags",
            ];
            return Some(self.pick(&usual).to_owned());
        }
        let keys = std::mem::take(&mut self.keys);
        let key = self.pick_own(&keys);
        self.keys = keys;
        key
    }

    fn dress(
        &mut self,
        method: String,
        path: String,
        pairs: Vec<(String, String)>,
        mood: Mood,
    ) -> Ask {
        let mut ask = Ask { method, target: path, ..Ask::default() };
        // Without any of these the caller is given root@pam's ticket.
        if !self.gentle && self.one_in(4) {
            let token = self.pick(TOKENS);
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
            let members: serde_json::Map<String, serde_json::Value> = pairs
                .into_iter()
                .map(|(name, value)| match mood {
                    Mood::Right => (name, serde_json::Value::String(value)),
                    _ => (name, self.json(value, 3)),
                })
                .collect();
            ask.body = serde_json::Value::Object(members).to_string().into_bytes();
        } else {
            ask.content_type = "application/x-www-form-urlencoded".to_owned();
            ask.body = form.join("&").into_bytes();
        }
        if mood != Mood::Right && self.one_in(15) {
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

    /// The path, and the node in it.
    fn path(
        &mut self,
        endpoint: &Described,
        world: &World,
        vmid: u32,
        wild: bool,
    ) -> (String, String) {
        let mut node = self.pick(&["pve1", "pve1", "pve2", "pve3", "localhost"]).to_owned();
        if endpoint.path.contains("{vmid}")
            && !self.one_in(15)
            && let Some(guest) = world.guest(vmid)
        {
            node.clone_from(&guest.node);
        }
        let mut parts = Vec::new();
        for part in endpoint.path.split('/') {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                parts.push(part.to_owned());
                continue;
            };
            let name = name.trim_start_matches('*');
            let value = if wild && self.one_in(5) {
                self.odd()
            } else {
                self.in_path(name, endpoint, world, vmid, &node)
            };
            // A volume's slashes and a UPID's colons may stand as they are.
            parts.push(if name == "volume" && self.one_in(2) { value } else { escape(&value) });
        }
        (parts.join("/"), node)
    }

    pub(crate) fn guest(&mut self, world: &World) -> u32 {
        let vmids: Vec<u32> = world.guests().map(|guest| guest.vmid).collect();
        let at = self.below(vmids.len());
        vmids.get(at).copied().unwrap_or(100)
    }

    pub(crate) fn odd(&mut self) -> String {
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
            5..8 => {
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
        Ask { method, target, authorization, content_type, body, ..Ask::default() }
    }
}

fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
