//! What the planner itself finds in the way: each obstacle where it is the only thing wrong. The
//! plan tells it once, with the way out, and apply writes nothing.

use pvx_sim::{Guest, TimeScale, World};

use crate::environment::{Environment, Run};
use crate::served::Served;

const VM: &str = "kind: vm\nname: db\nvmid: 1000\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: shared}}\n";
const CLONE: &str =
    "kind: vm\nname: db\nvmid: 1000\nnode: pve1\ntemplate: debian-13\nmemory: 512\n";

/// One thing that is in the way.
struct Obstacle {
    name: &'static str,
    code: &'static str,
    /// Added to the world `lab`.
    world: &'static str,
    /// What is applied before; nothing without it.
    first: &'static str,
    /// What happens then.
    meanwhile: fn(&mut World),
    /// What is asked for then, and how.
    document: String,
    command: &'static str,
}

fn obstacle(name: &'static str, code: &'static str, document: impl Into<String>) -> Obstacle {
    Obstacle {
        name,
        code,
        world: "",
        first: "",
        meanwhile: |_| {},
        document: document.into(),
        command: "apply",
    }
}

impl Obstacle {
    fn world(self, world: &'static str) -> Self {
        Self { world, ..self }
    }

    fn first(self, first: &'static str) -> Self {
        Self { first, ..self }
    }

    fn meanwhile(self, meanwhile: fn(&mut World)) -> Self {
        Self { meanwhile, ..self }
    }

    fn destroy(self) -> Self {
        Self { command: "destroy", ..self }
    }

    /// What the plan says of it.
    fn meet(&self) -> String {
        let world = World::from_yaml(&format!("from: lab\n{}", self.world)).unwrap();
        let served = Served::with(world, TimeScale::INSTANT);
        let lab = Environment::new();
        let pvx =
            |args: &[&str]| Run::of(&lab.command(args).envs(served.variables()).output().unwrap());
        if !self.first.is_empty() {
            lab.write("db.yaml", self.first);
            pvx(&["apply", "--yes", "db.yaml"]).expect(0);
        }
        served.sim.edit(self.meanwhile);
        lab.write("db.yaml", &self.document);
        served.sim.clear_requests();
        let mut args = vec!["plan", "db.yaml", "--format", "json"];
        args.extend((self.command == "destroy").then_some("--destroy"));
        let plan = pvx(&args).expect(1).stdout;
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        let findings = plan["findings"].as_array().unwrap();
        let errors: Vec<_> = findings.iter().filter(|f| f["weight"] == "error").collect();
        let [error] = errors[..] else { panic!("{}: {findings:#?}", self.name) };
        assert_eq!(error["code"], self.code, "{}: {error:#}", self.name);
        let run = pvx(&[self.command, "db.yaml", "--yes", "--lock-timeout", "0"]).expect(1);
        let writes = served.sim.requests().into_iter().filter(|request| request.write).count();
        assert_eq!(writes, 0, "{}: {}", self.name, run.stdout);
        served.stop();
        let text = |key: &str| error[key].as_str().unwrap_or("nothing").to_owned();
        let line = error["position"]["line"].as_u64().map_or(String::new(), |l| format!(" at {l}"));
        format!(
            "-- {}\n{}{line}: {}\n  help: {}\n",
            self.name,
            self.code,
            text("message"),
            text("help")
        )
    }
}

fn lock(world: &mut World) {
    let guest = world.guest_mut(1000).unwrap();
    guest.config.insert("lock".to_owned(), "backup".to_owned());
}

fn offline(world: &mut World, nodes: &[&str]) {
    for node in nodes {
        assert!(world.set_node_online(node, false));
    }
}

fn take(world: &mut World) {
    let mut guest = Guest::new(1000, "pve3", &[("name", "foreign"), ("memory", "512")]);
    guest.config.insert("description".to_owned(), "made by hand".to_owned());
    world.add_guest(guest);
}

fn cluster() -> [Obstacle; 6] {
    [
        obstacle("a cluster without quorum", "no-quorum", VM)
            .meanwhile(|world| offline(world, &["pve2", "pve3"])),
        obstacle("a node that is off", "node-offline", VM.replace("pve1", "pve2"))
            .meanwhile(|world| offline(world, &["pve2"])),
        obstacle("a node that is not there", "node-missing", VM.replace("pve1", "pve9")),
        obstacle("a VMID that is taken", "vmid-taken", VM).meanwhile(take),
        obstacle("a pool that is not there", "pool-missing", format!("{VM}pool: web\n")),
        obstacle("a storage of another name", "storage-missing", VM.replace("shared", "shred")),
    ]
}

fn templates() -> [Obstacle; 4] {
    [
        obstacle("a template that is not there", "template-missing", CLONE.replace("-13", "-31")),
        obstacle(
            "a guest that is no template",
            "not-a-template",
            CLONE.replace("debian-13", "900"),
        )
        .world("guests: [{vmid: 900, name: plain, node: pve2, config: {scsi0: 'shared:4'}}]\n"),
        obstacle(
            "a template on a node that is off",
            "template-offline",
            CLONE.replace("pve1", "pve2"),
        )
        .meanwhile(|world| offline(world, &["pve1"])),
        obstacle("two templates of one name", "template-ambiguous", CLONE).world(
            "guests: [{vmid: 900, name: debian-13, node: pve2, template: true, config: {scsi0: \
             'shared:4'}}]\n",
        ),
    ]
}

fn guests() -> [Obstacle; 6] {
    [
        obstacle("a disk that would shrink", "disk-shrink", VM.replace("4G", "2G")).first(VM),
        obstacle("a backup that runs", "locked", VM.replace("512", "1024"))
            .first(VM)
            .meanwhile(lock),
        obstacle("a guest that is protected", "protected", VM)
            .first(VM)
            .meanwhile(|world| {
                let guest = world.guest_mut(1000).unwrap();
                guest.config.insert("protection".to_owned(), "1".to_owned());
            })
            .destroy(),
        obstacle("a backup in the way of a removal", "locked", VM)
            .first(VM)
            .meanwhile(lock)
            .destroy(),
        obstacle(
            "an ISO of the node in a guest that moves",
            "cannot-move",
            VM.replace("pve1", "pve2"),
        )
        .first(VM)
        .meanwhile(|world| {
            let guest = world.guest_mut(1000).unwrap();
            let iso = "local:iso/debian-13.iso,media=cdrom";
            guest.config.insert("ide0".to_owned(), iso.to_owned());
        }),
        obstacle(
            "no slot for a cloud-init drive",
            "cloudinit-slot",
            format!(
                "{}storage: shared\ncdroms: {{ide2: none}}\ncloudinit: {{user: ops}}\n",
                VM.replace(
                    "scsi0: {size: 4G, storage: shared}",
                    "scsi0: {size: 4G, storage: shared}, scsi1: {size: 1G, storage: shared}, \
                     sata5: {size: 1G, storage: shared}"
                )
            ),
        ),
    ]
}

fn meet(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(Obstacle::meet).collect()
}

#[test]
fn of_the_cluster() {
    insta::assert_snapshot!(meet(&cluster()));
}

#[test]
fn of_templates() {
    insta::assert_snapshot!(meet(&templates()));
}

#[test]
fn of_guests() {
    insta::assert_snapshot!(meet(&guests()));
}
