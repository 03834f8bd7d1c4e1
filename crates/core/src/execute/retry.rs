//! Is it tried again, and when? Only what was refused for a reason that passes by itself; an
//! unknown outcome never (law 3).

use std::time::Duration;

use super::check::waits;
use super::{Context, Patience};
use crate::plan::{Action, ActionId, ActionKind};
use crate::provider::{ErrorClass, ProviderError, Writer};

/// How long to wait before the next try, after so many; none when there is none.
pub(super) fn pause<W: Writer>(
    context: &Context<'_, W>,
    action: &Action,
    error: &ProviderError,
    tries: u32,
) -> Option<Duration> {
    let again = tries < context.patience.tries && may_repeat(context, action, error);
    again.then(|| context.patience.pause_after(action.id, tries))
}

/// Was it refused for a reason that passes by itself?
fn may_repeat<W: Writer>(context: &Context<'_, W>, action: &Action, error: &ProviderError) -> bool {
    match error.class {
        ErrorClass::Busy => true,
        // Right after a clone or a migration the new node may not have seen the file yet.
        ErrorClass::Missing => waits(context, action),
        // Nor may all nodes know yet that the guest before it is gone.
        ErrorClass::Exists => follows_destroy(context, action),
        _ => false,
    }
}

/// Is a guest made in the place of one that this plan removes right before?
fn follows_destroy<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    let actions = &context.plan.actions;
    let before = actions.needs(action.id).into_iter().filter_map(|id| actions.get(id));
    before.filter(|a| a.vmid == action.vmid).any(|a| a.kind == ActionKind::Destroy)
}

impl Patience {
    /// The pause after so many tries: doubled each time, between a half and one and a half of
    /// that, so that those that were refused together do not come back together.
    pub(super) fn pause_after(&self, action: ActionId, tries: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
        let pause = self.pause.saturating_mul(doubled).min(self.longest_pause);
        let number = mixed(self.seed ^ (u64::from(action.0) << 32) ^ u64::from(tries));
        let share = (number >> 11) as f64 / (1_u64 << 53) as f64;
        pause.mul_f64(0.5 + share)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a number that looks like chance and is the same each time.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        let patience = Patience::default();
        let pauses = |action| -> Vec<f64> {
            let pause = |tries| patience.pause_after(ActionId(action), tries).as_secs_f64();
            (1..=9).map(pause).collect()
        };
        for (pause, base) in pauses(7).iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])
        {
            assert!((base * 0.5..base * 1.5).contains(pause), "{pause} of {base}");
        }
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
        let other = Patience { seed: 1, ..patience.clone() };
        assert_ne!(other.pause_after(ActionId(7), 1), patience.pause_after(ActionId(7), 1));
    }
}
