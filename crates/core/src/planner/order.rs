//! Order between guests: a start waits for the starts it depends on.

use super::build::Builder;
use super::create::Starts;

/// `depends_on`: the start of a guest waits for the start of every guest it comes after, when
/// this plan starts that one too.
pub(super) fn by_dependency(builder: &mut Builder<'_>, starts: &Starts) {
    for guest in builder.input.desired.guests() {
        let Some(later) = starts.get(&guest.address) else { continue };
        for first in guest.after.iter().filter_map(|address| starts.get(address)) {
            builder.actions.order(*first, *later);
        }
    }
}
