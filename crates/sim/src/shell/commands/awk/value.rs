//! Values of awk: numbers, texts, and texts from the input that count as numbers.

/// A value.
#[derive(Clone, Debug, Default)]
pub(super) enum Value {
    #[default]
    Nothing,
    Number(f64),
    Text(String),
    /// From the input: a number when it looks like one.
    Input(String),
}

/// The number that a text begins with.
fn leading(text: &str) -> f64 {
    let text = text.trim_start();
    let mut best = 0.0;
    for (at, found) in text.char_indices() {
        let end = at + found.len_utf8();
        if !found.is_ascii_digit() && !"+-.eE".contains(found) {
            break;
        }
        if let Some(number) = text.get(..end).and_then(|part| part.parse().ok()) {
            best = number;
        }
    }
    best
}

impl Value {
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Number(number) => *number,
            Self::Text(text) | Self::Input(text) => leading(text),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Number(number) => shown(*number),
            Self::Text(text) | Self::Input(text) => text.clone(),
        }
    }

    fn numeric(&self) -> Option<f64> {
        match self {
            Self::Nothing => Some(0.0),
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
            Self::Input(text) => {
                let text = text.trim();
                let digits = text.chars().any(|found| found.is_ascii_digit());
                text.parse().ok().filter(|_| digits)
            }
        }
    }

    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Input(text) => self.numeric().map_or(!text.is_empty(), |number| number != 0.0),
            other => other.number() != 0.0,
        }
    }

    /// Numbers compare as numbers, anything else as text.
    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        match (self.numeric(), other.numeric()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => self.text().cmp(&other.text()),
        }
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Self::Number(f64::from(u8::from(holds)))
    }
}

/// A number as `print` writes it: whole ones in full, others by `%.6g`.
pub(super) fn shown(number: f64) -> String {
    if number == number.trunc() && number.abs() < 1e16 {
        return format!("{}", number as i64);
    }
    if !number.is_finite() {
        return if number.is_nan() { "nan".to_owned() } else { "inf".to_owned() };
    }
    let exponent = number.abs().log10().floor() as i32;
    if !(-5..6).contains(&exponent) {
        let text = format!("{number:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let power: i32 = power.parse().unwrap_or(0);
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.abs());
    }
    let decimals = usize::try_from(5 - exponent).unwrap_or(0);
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
