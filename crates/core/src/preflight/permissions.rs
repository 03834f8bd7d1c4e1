//! What the token may do, as `/access/permissions` tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::plan::Privilege;

/// Paths that Proxmox evaluates whether an ACL entry names them or not, and leaves out when there
/// is no privilege on them (pve-access-control `RPCEnvironment.pm`, get_effective_permissions).
const ALWAYS_LISTED: &[&str] =
    &["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

/// What somebody may do where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// The token that asked: `pvx@pve!cli`.
    pub token: String,
    /// Privileges by path, and whether each goes on below it. Paths that no ACL entry names are
    /// not listed, and neither are those without any privilege.
    pub paths: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Permissions {
    /// Does the token have this privilege on the path? The nearest listed path above decides for
    /// one that is not listed: entries on a path take the place of those above it. Entries that do
    /// not go on below their path hide nothing from there, so the next path above decides then.
    pub fn holds(&self, path: &str, privilege: &str) -> bool {
        if let Some(own) = self.listed(path) {
            return own.contains_key(privilege);
        }
        for above in ancestors(path).filter_map(|above| self.listed(above)) {
            if above.get(privilege) == Some(&true) {
                return true;
            }
            if goes_on(above) {
                return false;
            }
        }
        false
    }

    /// Paths among these whose privileges the list does not tell for certain: entries of the
    /// nearest listed path above do not all go on below it.
    pub fn uncertain<'a>(&self, paths: &'a BTreeSet<String>) -> impl Iterator<Item = &'a String> {
        let nearest = |path: &str| ancestors(path).find_map(|above| self.listed(above));
        paths.iter().filter(move |path| {
            let listed = self.listed(path).is_some();
            !listed && nearest(path).is_some_and(|above| above.values().any(|on| !on))
        })
    }

    /// Does it have the privilege on every path below this one, as far as the list tells?
    pub fn holds_below(&self, path: &str, privilege: &str) -> bool {
        let below = format!("{path}/");
        let propagated = match self.listed(path) {
            Some(own) => own.get(privilege) == Some(&true),
            None => self.holds(path, privilege),
        };
        let mut special =
            self.paths.range(below.clone()..).take_while(|(p, _)| p.starts_with(&below));
        propagated && special.all(|(_, own)| own.contains_key(privilege))
    }

    /// Does it pass the check, as far as the list tells?
    pub fn meets(&self, check: &Privilege) -> bool {
        if self.may_be_vnet(check) {
            return true;
        }
        let paths = [Some(&check.path), check.pool.as_ref()];
        let mut paths = paths.into_iter().flatten();
        paths.any(|path| check.any_of.iter().any(|privilege| self.holds(path, privilege)))
    }

    /// Is the check that of a bridge which may be a VNet of a zone that the token may use? It sees
    /// no VNets then, which takes SDN.Audit, and does not learn which these are.
    fn may_be_vnet(&self, check: &Privilege) -> bool {
        let bridge = check.path.strip_prefix("/sdn/zones/localnetwork/").unwrap_or_default();
        if bridge.is_empty() || bridge.starts_with("vmbr") {
            return false;
        }
        let zones = self.paths.iter().filter(|(path, _)| {
            let zone = path.strip_prefix("/sdn/zones/");
            zone.is_some_and(|zone| zone != "localnetwork" && !zone.contains('/'))
        });
        let uses = |own: &BTreeMap<String, bool>| own.get("SDN.Use") == Some(&true);
        let sees = |own: &BTreeMap<String, bool>| own.contains_key("SDN.Audit");
        zones.into_iter().any(|(_, own)| uses(own) && !sees(own))
    }

    fn listed(&self, path: &str) -> Option<&BTreeMap<String, bool>> {
        static NOTHING: BTreeMap<String, bool> = BTreeMap::new();
        let always = ALWAYS_LISTED.contains(&path);
        self.paths.get(path).or_else(|| always.then_some(&NOTHING))
    }
}

/// Is there an entry that goes on below its path, and takes the place of those above? Nothing at
/// all is NoAccess.
fn goes_on(own: &BTreeMap<String, bool>) -> bool {
    own.is_empty() || own.values().any(|on| *on)
}

/// `/vms`, `/` of `/vms/100`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
    let cut = |at: usize| if at == 0 { "/" } else { path.get(..at).unwrap_or("/") };
    slashes.into_iter().rev().map(cut)
}

/// What is known of the rules that privileges depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What the token may do; absent when it could not be asked.
    pub permissions: Option<Permissions>,
    /// What another token may do that is to carry the plan out.
    pub applying: Option<Applying>,
    /// VMIDs that were asked for and are taken: by guests that the token does not see.
    pub taken: BTreeSet<u32>,
    /// Zones of the VNets that the token sees, by VNet. Every other bridge is of `localnetwork`.
    pub zones: BTreeMap<String, String>,
    /// Who may set which tags.
    pub tags: TagRules,
}

/// The token that is to carry the plan out, when another one plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applying {
    /// What it may do.
    Known(Permissions),
    /// The token that plans may not look at it: that needs Sys.Audit on `/access`.
    Hidden(String),
}

/// Who may set which tags (`registered-tags` and `user-tag-access` of datacenter.cfg).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRules {
    /// Tags that need Sys.Modify on `/`.
    pub registered: BTreeSet<String>,
    /// `free`, `existing`, `list` or `none`; absent: `free`.
    pub mode: Option<String>,
    /// Tags that anybody may set, whatever the mode says but `none`.
    pub listed: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/vms=Audit+Clone-` gives Audit that goes on below `/vms`, and Clone that does not.
    fn permissions(text: &str) -> Permissions {
        let mut paths: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        for (path, list) in text.split_whitespace().filter_map(|line| line.split_once('=')) {
            let list = list.split_inclusive(['+', '-']);
            let one = |entry: &str| (entry[..entry.len() - 1].to_owned(), entry.ends_with('+'));
            paths.insert(path.to_owned(), list.map(one).collect());
        }
        Permissions { token: "pvx@pve!cli".to_owned(), paths }
    }

    #[test]
    fn the_nearest_listed_path_decides() {
        for (list, path, held) in [
            ("", "/", false),
            ("/=A+ /vms=A+", "/", true),
            ("/=A+ /vms=A+", "/vms/100", true),
            ("/=A+", "/mapping/usb/stick", true),
            ("/=A-", "/mapping/usb/stick", false),
            ("/=A-", "/", true),
            ("/=A+ /vms=B+", "/vms/100", false),
            ("/=A+ /vms=B-", "/vms/100", true),
            ("/=A+ /vms=B-", "/vms", false),
            ("/=A+ /vms=B-C+", "/vms/100", false),
            ("/=C+ /vms=A-", "/vms/100", false),
            ("/=A+ /vms=A+ /vms/100=B+", "/vms/100", false),
            ("/=A+ /vms=A+ /vms/100=B+", "/vms/101", true),
            ("/vms/100=A-", "/vms/100", true),
            ("/vms/100=A+", "/vms/1000", false),
            // It would be listed if there were anything: NoAccess is on it.
            ("/=A+", "/vms/100", false),
            ("/=A+", "/vms", false),
            ("/sdn=B+ /sdn/zones/localnetwork/vmbr0=A+", "/sdn/zones/localnetwork/vmbr0/5", true),
            ("/sdn=B+ /sdn/zones/localnetwork/vmbr0=A-", "/sdn/zones/localnetwork/vmbr0/5", false),
        ] {
            assert_eq!(permissions(list).holds(path, "A"), held, "{list} {path}");
        }
    }

    #[test]
    fn what_has_to_be_asked() {
        let paths = ["/vms/100", "/vms/101", "/storage/nas", "/"].map(str::to_owned).into();
        for (list, asked) in [
            ("/=A+ /vms=A+ /storage=A+", ""),
            ("/=A+ /vms=B- /vms/101=A+ /storage=A+", "/vms/100"),
            ("/=A+ /vms=B-A+ /storage=A+", "/vms/100 /vms/101"),
            ("/=A- /storage=A+", ""),
        ] {
            let found: Vec<&str> =
                permissions(list).uncertain(&paths).map(String::as_str).collect::<Vec<_>>();
            assert_eq!(found.join(" "), asked, "{list}");
        }
    }

    #[test]
    fn below_a_path() {
        for (list, held) in [
            ("/=A+ /vms=A+", true),
            ("/=A+ /vms=A-", false),
            ("/=A+", false),
            ("/vms=A+ /vms/100=A-", true),
            ("/vms=A+ /vms/100=B-", false),
            ("/vms/100=A-", false),
        ] {
            assert_eq!(permissions(list).holds_below("/vms", "A"), held, "{list}");
        }
    }

    #[test]
    fn a_bridge_that_may_be_a_vnet() {
        for (list, bridge, met) in [
            ("/sdn/zones/evpn=SDN.Use+", "blue", true),
            ("/sdn/zones/evpn=SDN.Use+", "vmbr0", false),
            ("/sdn/zones/evpn=SDN.Use+SDN.Audit+", "blue", false),
            ("/sdn/zones/evpn=SDN.Use-", "blue", false),
            ("/sdn/zones/evpn/red=SDN.Use+", "blue", false),
        ] {
            let check = Privilege::new(format!("/sdn/zones/localnetwork/{bridge}"), &["SDN.Use"]);
            assert_eq!(permissions(list).meets(&check), met, "{list} {bridge}");
        }
    }

    #[test]
    fn one_of_several_and_a_pool_are_enough() {
        let check =
            Privilege { pool: Some("/pool/p".into()), ..Privilege::new("/vms/1", &["A", "B"]) };
        for (list, met) in [
            ("/vms=B+", true),
            ("/pool=C+ /pool/p=A-", true),
            ("/pool=A+", true),
            ("/pool=A-", false),
            ("/vms=C+", false),
        ] {
            assert_eq!(permissions(list).meets(&check), met, "{list}");
        }
        assert!(!permissions("/vms=A+").meets(&Privilege::new("/vms/1", &[])));
    }
}
