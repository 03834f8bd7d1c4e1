//! The words of effects and modes, for readers who have not read the documentation.

use pvx_core::desired::ApplyChanges;
use pvx_core::plan::Effect;
use serde::Serialize;

/// All effects, the dearest first.
pub(super) const DEAREST_FIRST: [Effect; 12] = [
    Effect::DataLoss,
    Effect::Destroy,
    Effect::Replace,
    Effect::Stop,
    Effect::Offline,
    Effect::Reboot,
    Effect::Migrate,
    Effect::Move,
    Effect::Pending,
    Effect::Start,
    Effect::Create,
    Effect::Live,
];

/// What a change costs, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Cost {
    /// `reboot`
    pub(crate) word: &'static str,
    /// One of the five colours: `good`, `wait`, `move`, `warn`, `bad`.
    pub(crate) class: &'static str,
    /// One sentence without a full stop.
    pub(crate) meaning: &'static str,
    /// From 0 (nobody notices) upwards.
    pub(crate) dearness: usize,
}

impl Cost {
    pub(crate) fn of(effect: Effect) -> Self {
        let (word, meaning) = words(effect);
        let place = DEAREST_FIRST.iter().position(|e| *e == effect).unwrap_or_default();
        let dearness = DEAREST_FIRST.len() - 1 - place;
        Self { word, class: class(effect), meaning, dearness }
    }
}

fn words(effect: Effect) -> (&'static str, &'static str) {
    match effect {
        Effect::Live => ("live", "takes effect at once, nobody notices"),
        Effect::Create => ("create", "part of making the guest"),
        Effect::Start => ("start", "the guest starts"),
        Effect::Pending => ("pending", "written now, waits for the next cold boot"),
        Effect::Move => ("move", "a disk is copied to another storage"),
        Effect::Migrate => ("migrate", "the guest moves to another node"),
        Effect::Reboot => ("reboot", "the guest is rebooted"),
        Effect::Offline => ("offline", "the guest is shut down, changed and started again"),
        Effect::Stop => ("shut down", "the guest is shut down and stays so"),
        Effect::Replace => ("replace", "the guest is removed and made anew"),
        Effect::Destroy => ("destroy", "the guest goes; none of its bytes do"),
        Effect::DataLoss => ("data loss", "bytes are lost for ever"),
    }
}

/// The colour of an effect; the word stands beside it everywhere.
pub(crate) fn class(effect: Effect) -> &'static str {
    match effect {
        Effect::Live | Effect::Create | Effect::Start => "good",
        Effect::Pending => "wait",
        Effect::Move | Effect::Migrate => "move",
        Effect::Reboot | Effect::Offline | Effect::Stop => "warn",
        Effect::Replace | Effect::Destroy | Effect::DataLoss => "bad",
    }
}

/// What holds a change back, as documents say it.
pub(super) fn mode(mode: ApplyChanges) -> &'static str {
    match mode {
        ApplyChanges::Live => "apply_changes: live",
        ApplyChanges::Reboot => "apply_changes: reboot",
        ApplyChanges::Manual => "apply_changes: manual",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effect_has_its_place_and_dearness_is_the_order_of_plans() {
        let mut sorted = DEAREST_FIRST;
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(sorted, DEAREST_FIRST);
        assert_eq!(Cost::of(Effect::Live).dearness, 0);
        assert_eq!(Cost::of(Effect::DataLoss).dearness, 11);
    }
}
