//! What befalls a cluster: nodes go off and come back, the quorum is lost, faults strike.

use pvx_sim::direct::Direct;
use pvx_sim::{Fault, When};

use super::make::Maker;

/// Whether something is wrong at the moment.
#[derive(Default)]
pub(crate) struct Trouble {
    on: bool,
}

impl Trouble {
    pub(crate) fn strike(&mut self, maker: &mut Maker, direct: &mut Direct) {
        if self.on && maker.one_in(25) {
            self.on = false;
            direct.clear_faults();
            for node in ["pve1", "pve2", "pve3"] {
                direct.world_mut().set_node_online(node, true);
            }
        }
        if !maker.one_in(150) {
            return;
        }
        self.on = true;
        let node = maker.pick(&["pve1", "pve2", "pve3"]).to_owned();
        let vmid = maker.guest(direct.world());
        let seed = maker.next();
        let fault = match maker.below(9) {
            0 => {
                direct.world_mut().set_node_online(&node, false);
                return;
            }
            1 => Fault::now().node_off(&node, Some(20_000)),
            2 => Fault::now().loses_quorum(Some(5000)),
            3 => Fault::now().holds_guest(vmid, 30_000),
            4 => Fault::now().holds_storage("local", 30_000),
            5 => Fault::now().fills("shared"),
            6 => Fault::on("POST", "**").sometimes(0.2, seed).drops(When::After),
            7 => Fault::in_task("qmclone").sometimes(0.5, seed).fails("a fault"),
            _ => Fault::on("*", "**").sometimes(0.1, seed).answers(596, When::Before),
        };
        // A rule for what is gone is refused.
        let _ = direct.add_fault(fault);
    }
}
