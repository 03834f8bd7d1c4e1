//! How much is told: from everything down to counts. The last step is short whatever the plan is.

/// How many of each are told, and how long a text may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// Characters of a value or a name.
    pub(super) value: usize,
    /// Characters of a sentence.
    pub(super) sentence: usize,
    /// Rows of the table of guests.
    pub(super) rows: usize,
    /// Guests whose attributes are told.
    pub(super) attributes: usize,
    /// Problems and warnings; as many notes, held guests, rules of the policy, and profiles.
    pub(super) findings: usize,
}

const ALL: usize = usize::MAX;

const fn step(
    value: usize,
    sentence: usize,
    rows: usize,
    attributes: usize,
    findings: usize,
) -> Detail {
    Detail { value, sentence, rows, attributes, findings }
}

/// From everything to little.
pub(super) const LADDER: [Detail; 10] = [
    step(600, 1200, ALL, ALL, ALL),
    step(160, 600, ALL, ALL, ALL),
    step(80, 400, ALL, 100, 100),
    step(80, 400, ALL, 30, 60),
    step(80, 400, ALL, 0, 40),
    step(60, 300, 300, 0, 30),
    step(60, 300, 150, 0, 20),
    step(60, 200, 60, 0, 15),
    step(40, 160, 20, 0, 8),
    step(24, 80, 5, 0, 3),
];

/// The dearest `most` of a list, in the order that they have.
pub(super) fn dearest<T>(list: &[T], most: usize, dearness: impl Fn(&T) -> usize) -> Vec<&T> {
    let mut all: Vec<(usize, &T)> = list.iter().enumerate().collect();
    all.sort_by_key(|(place, item)| (std::cmp::Reverse(dearness(item)), *place));
    all.truncate(most);
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, item)| item).collect()
}
