//! `moved`: what a guest was called before.

use super::super::decode::names;
use super::super::decode::profile::Profile;
use super::super::decode::value::{bad_value, quoted};
use super::super::nearest::nearest;
use crate::address::Address;
use crate::desired::Guest;
use crate::diagnostic::{Diagnostic, Spanned};

/// A former name in `profile`, or a former address.
pub(super) fn set(
    guest: &mut Guest,
    profile: &str,
    from: &Spanned<String>,
    problems: &mut Vec<Diagnostic>,
) {
    let read = |text: &str| {
        if text.contains('/') {
            return text.parse::<Address>().map_err(|error| error.to_string());
        }
        names::label(text).map(|name| Address::new(profile, name))
    };
    let address = match read(&from.value) {
        Ok(address) => address,
        Err(why) => {
            problems.push(bad_value(from.span, "moved", why));
            return;
        }
    };
    if let (Some(before), Some(place)) = (&guest.moved_from, guest.places.get("moved"))
        && *before != address
    {
        let message = format!("{} cannot have been two guests", guest.address);
        problems.push(
            Diagnostic::error("conflict", message)
                .at(from.span, format!("it was {address}"))
                .at(*place, format!("it was {before}"))
                .help("keep one of the two"),
        );
        return;
    }
    guest.moved_from = Some(address);
    guest.places.insert("moved".to_owned(), from.span);
}

/// The list `moved` of a profile.
pub(super) fn of_profile(profile: &Profile, guests: &mut [Guest], problems: &mut Vec<Diagnostic>) {
    for moved in &profile.moved {
        let Some(guest) = guests.iter_mut().find(|g| g.address.guest() == moved.to.value) else {
            let label = nearest(&moved.to.value, guests.iter().map(|g| g.address.guest()))
                .map_or_else(|| "not known".to_owned(), |near| format!("did you mean '{near}'?"));
            let message = format!("the profile has no guest {}", quoted(&moved.to.value));
            problems.push(
                Diagnostic::error("unknown-guest", message)
                    .at(moved.to.span, label)
                    .help("'to' is the name that the guest has now"),
            );
            continue;
        };
        set(guest, &profile.name.value, &moved.from, problems);
    }
}
