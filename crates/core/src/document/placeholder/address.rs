//! Addresses that are counted up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address `by` after `ip`; none beyond the last one there is.
pub(crate) fn after(ip: IpAddr, by: u64) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            let sum = u32::from(ip).checked_add(u32::try_from(by).ok()?)?;
            Some(Ipv4Addr::from(sum).into())
        }
        IpAddr::V6(ip) => {
            let sum = u128::from(ip).checked_add(u128::from(by))?;
            Some(Ipv6Addr::from(sum).into())
        }
    }
}
