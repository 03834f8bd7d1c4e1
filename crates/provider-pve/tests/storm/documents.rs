//! Random guests, as they are before the storm and as they are wanted after it.

use crate::dice::Dice;

#[derive(Clone, Debug)]
enum Origin {
    Linked,
    /// From the template on node-local storage, which is moved to the guest's node.
    Local,
    /// Without a template, on this storage.
    Nothing(&'static str),
}

#[derive(Clone, Debug)]
struct Vm {
    name: String,
    vmid: Option<u32>,
    node: u64,
    origin: Origin,
    /// GiB; of the boot disk.
    disk: u64,
    memory: u64,
    running: bool,
    description: Option<u64>,
    extra: bool,
}

/// What is there before, and what is wanted.
pub(crate) struct Wishes {
    pairs: Vec<(Option<Vm>, Option<Vm>)>,
}

impl Wishes {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let count = 6 + dice.below(7);
        let mut pairs: Vec<_> = (3..3 + count)
            .map(|number| {
                let vm = Vm::draw(dice, number);
                // A standalone VM is removed by `destroy` alone.
                let may_go = !matches!(vm.origin, Origin::Nothing(_));
                match dice.below(10) {
                    0..=3 => (None, Some(vm)),
                    4..=6 if may_go => (Some(vm), None),
                    _ => (Some(vm.clone()), Some(vm.changed(dice))),
                }
            })
            .collect();
        // A profile without any guest is no profile.
        for (number, origin) in [Origin::Linked, Origin::Local].into_iter().enumerate() {
            let number = u64::try_from(number).unwrap() + 1;
            let keeper = Vm { running: false, origin, ..Vm::draw(dice, number) };
            pairs.push((Some(keeper.clone()), Some(keeper)));
        }
        Self { pairs }
    }

    pub(crate) fn before(&self) -> String {
        documents(self.pairs.iter().filter_map(|(before, _)| before.as_ref()))
    }

    pub(crate) fn after(&self) -> String {
        documents(self.pairs.iter().filter_map(|(_, after)| after.as_ref()))
    }

    /// Names of all that is wanted, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |vm: &Vm| match vm.origin {
            Origin::Nothing(_) => vm.name.clone(),
            Origin::Linked | Origin::Local => format!("cp-{}", vm.name),
        };
        let wanted = self.pairs.iter().filter_map(|(_, after)| after.as_ref());
        let mut names: Vec<String> = wanted.map(name).collect();
        names.sort();
        names
    }
}

/// Two profiles, and the standalone VMs.
fn documents<'a>(vms: impl Iterator<Item = &'a Vm>) -> String {
    let mut app = "kind: cluster\nname: app\ntype: generic\ntemplate: debian-13\nclone: linked\n\
        storage: shared\ntags: [app]\nnodes:\n  controlplane:\n    for_each:\n"
        .to_owned();
    let mut local = "kind: cluster\nname: local\ntype: generic\ntemplate: debian-13-local\n\
        storage: local-lvm\ntags: [local]\nnodes:\n  controlplane:\n    for_each:\n"
        .to_owned();
    let mut alone = String::new();
    for vm in vms {
        let member = || {
            let lines = vm.keys();
            let lines = lines.lines().map(|line| format!("        {line}\n"));
            format!("      {}:\n{}", vm.name, lines.collect::<String>())
        };
        match vm.origin {
            Origin::Linked => app += &member(),
            Origin::Local => local += &member(),
            Origin::Nothing(_) => {
                alone += &format!("---\nkind: vm\nname: {}\n{}", vm.name, vm.keys());
            }
        }
    }
    format!("{app}---\n{local}{alone}")
}

impl Vm {
    fn draw(dice: &mut Dice, number: u64) -> Self {
        let origin = match dice.below(5) {
            0 | 1 => Origin::Linked,
            2 => Origin::Local,
            3 => Origin::Nothing("local-lvm"),
            _ => Origin::Nothing("shared"),
        };
        Self {
            name: format!("g{number}"),
            vmid: dice.percent(40).then(|| 2000 + u32::try_from(number).unwrap()),
            node: 1 + dice.below(5),
            origin,
            disk: 4 + dice.below(3),
            memory: 512,
            running: dice.percent(60),
            description: dice.percent(50).then(|| dice.below(100)),
            extra: dice.percent(20),
        }
    }

    fn changed(&self, dice: &mut Dice) -> Self {
        let mut vm = self.clone();
        if dice.percent(50) {
            vm.description = Some(100 + dice.below(100));
        }
        if dice.percent(30) {
            vm.disk += 1 + dice.below(3);
        }
        if dice.percent(30) {
            vm.node = 1 + dice.below(5);
        }
        if dice.percent(20) {
            vm.extra = true;
        }
        if dice.percent(20) {
            vm.running = !vm.running;
        }
        if let (Origin::Nothing(storage), true) = (&mut vm.origin, dice.percent(30)) {
            *storage = if *storage == "shared" { "local-lvm" } else { "shared" };
        }
        vm
    }

    /// The keys of its document, those that its profile says apart.
    fn keys(&self) -> String {
        let mut text =
            format!("node: pve{}\nplacement: pinned\nmemory: {}\n", self.node, self.memory);
        if let Some(vmid) = self.vmid {
            text += &format!("vmid: {vmid}\n");
        }
        if let Some(number) = self.description {
            text += &format!("description: number {number}\n");
        }
        text += if self.running { "power: running\n" } else { "power: stopped\n" };
        let (size, mut disks) = (self.disk, Vec::new());
        match self.origin {
            Origin::Linked | Origin::Local => text += &format!("disk: {size}G\n"),
            Origin::Nothing(storage) => {
                disks.push(format!("scsi0: {{size: {size}G, storage: {storage}}}"));
            }
        }
        if self.extra {
            disks.push("scsi3: {size: 1G, storage: shared}".to_owned());
        }
        if !disks.is_empty() {
            text += &format!("disks: {{{}}}\n", disks.join(", "));
        }
        text
    }
}
