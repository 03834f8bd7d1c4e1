//! Tables (`PVE::CLIFormatter::print_text_table`).

use std::cmp::Ordering;

use serde_json::Value;

use super::json;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    /// Right-aligned, sorted by value.
    Number,
    /// Shown as 0 or 1.
    Flag,
}

/// How a value is shown to people (`renderer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Bytes,
    Time,
    Duration,
    Share,
    Yaml,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) kind: Type,
    pub(super) look: Look,
    /// What is longer is cut.
    pub(super) width: Option<usize>,
}

impl Column {
    pub(super) fn text(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: name.to_owned(),
            kind: Type::Text,
            look: Look::Plain,
            width: None,
        }
    }

    /// A value as the column shows it (`data_to_text`); `human` is `--human-readable`.
    pub(super) fn show(&self, value: &Value, human: bool) -> String {
        if value.is_null() || !human {
            return cell(value);
        }
        if self.kind == Type::Flag {
            let text = cell(value);
            return u8::from(!text.is_empty() && text != "0").to_string();
        }
        let number = || cell(value).parse::<f64>().unwrap_or(0.0);
        match self.look {
            Look::Plain => cell(value),
            Look::Bytes => bytes(number()),
            Look::Time => time(number()),
            Look::Duration => duration(number()),
            Look::Share => format!("{:.2}%", number() * 100.0),
            Look::Yaml => {
                let text = json::yaml(value);
                text.strip_prefix("---")
                    .and_then(|text| text.get(1..))
                    .unwrap_or_default()
                    .to_owned()
            }
        }
    }
}

/// `PVE::Format::render_bytes`.
fn bytes(mut value: f64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.2} {unit}")
}

/// `PVE::Format::render_timestamp`; the nodes' clocks show UTC.
fn time(value: f64) -> String {
    let time = jiff::Timestamp::from_second(value as i64).unwrap_or_default();
    time.strftime("%F %H:%M:%S").to_string()
}

/// `PVE::Format::render_duration`.
fn duration(value: f64) -> String {
    let mut rest = value.round() as i64;
    let mut parts = Vec::new();
    for (unit, length) in [("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        let count = rest / length;
        if count > 0 {
            parts.push(format!("{count}{unit}"));
            rest -= count * length;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// Columns of text.
pub(super) fn plain(names: &[&str]) -> Vec<Column> {
    names.iter().map(|&name| Column::text(name)).collect()
}

/// All keys that occur, sorted.
pub(super) fn guessed(items: &[Value]) -> Vec<Column> {
    let keys = items.iter().filter_map(Value::as_object).flat_map(|members| members.keys());
    let keys: std::collections::BTreeSet<&String> = keys.collect();
    keys.into_iter().map(|name| Column::text(name)).collect()
}

/// A value as text.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Number(number) => number.to_string(),
        other => json::canonical(other),
    }
}

/// How a table is drawn.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) header: bool,
    pub(super) border: bool,
    pub(super) human: bool,
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Compares two items by a column; what lacks it comes first.
fn compare(column: &Column, a: &Value, b: &Value) -> Ordering {
    let value = |item: &Value| item.get(&column.name).filter(|value| !value.is_null()).map(cell);
    match (value(a), value(b)) {
        (Some(a), Some(b)) if column.kind == Type::Number => {
            let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
            number(&a).total_cmp(&number(&b))
        }
        (a, b) => a.cmp(&b),
    }
}

/// The rows as a table, sorted by the first column.
pub(super) fn render(items: &[Value], columns: &[Column], style: Style) -> String {
    let mut sorted = items.to_vec();
    if let Some(first) = columns.first() {
        sorted.sort_by(|a, b| compare(first, a, b));
    }
    in_order(&sorted, columns, style)
}

/// The rows as a table, as they are.
pub(super) fn in_order(items: &[Value], columns: &[Column], style: Style) -> String {
    let Style { header, border, human } = style;
    let mut rows: Vec<Vec<Vec<String>>> = Vec::new();
    for item in items {
        let cells = columns.iter().map(|column| {
            let text = column.show(item.get(&column.name).unwrap_or(&Value::Null), human);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        rows.push(cells.collect());
    }
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).flatten();
            let longest = cells.map(|line| width(line)).chain([width(&column.title)]).max();
            longest.unwrap_or(0).min(column.width.unwrap_or(usize::MAX))
        })
        .collect();
    let mut out = String::new();
    let rule = |left: &str, fill: &str, middle: &str, right: &str| {
        let cells: Vec<String> = widths.iter().map(|width| fill.repeat(width + 2)).collect();
        format!("{left}{}{right}\n", cells.join(middle))
    };
    if border {
        out.push_str(&rule("┌", "─", "┬", "┐"));
    }
    if header {
        let titles: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
        out.push_str(&line(&titles, columns, &widths, border));
    }
    for (at, row) in rows.iter().enumerate() {
        if border && at == 0 && header {
            out.push_str(&rule("╞", "═", "╪", "╡"));
        } else if border && at > 0 {
            out.push_str(&rule("├", "─", "┼", "┤"));
        }
        let height = row.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for number in 0..height {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(lines, width)| {
                    let text = lines.get(number).map(String::as_str).unwrap_or_default();
                    text.chars().take(*width).collect()
                })
                .collect();
            out.push_str(&line(&cells, columns, &widths, border));
        }
    }
    if border {
        out.push_str(&rule("└", "─", "┴", "┘"));
    }
    out
}

fn line(cells: &[String], columns: &[Column], widths: &[usize], border: bool) -> String {
    let last = columns.len().saturating_sub(1);
    let padded =
        cells.iter().zip(columns).zip(widths).enumerate().map(|(at, ((text, column), width))| {
            if !border && at == last {
                return text.clone();
            }
            if column.kind == Type::Number {
                format!("{text:>width$}")
            } else {
                format!("{text:<width$}")
            }
        });
    let padded: Vec<String> = padded.collect();
    if border {
        format!("│ {} │\n", padded.join(" │ "))
    } else {
        format!("{}\n", padded.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let rows = [
            serde_json::json!({ "k": "b", "n": 10 }),
            serde_json::json!({ "k": "a", "n": 2 }),
            serde_json::json!({ "n": 3 }),
        ];
        let number = Column { kind: Type::Number, ..Column::text("n") };
        let columns =
            [Column { width: Some(1), title: "Key".to_owned(), ..Column::text("k") }, number];
        let style = Style { header: true, border: true, human: true };
        assert_eq!(
            render(&rows, &columns, style),
            "┌───┬────┐\n│ K │  n │\n╞═══╪════╡\n│   │  3 │\n├───┼────┤\n│ a │  2 │\n├───┼────┤\n│ b │ 10 │\n└───┴────┘\n"
                .replace("│ K │", "│ Key │")
        );
        let style = Style { header: false, border: false, human: true };
        assert_eq!(render(&rows, &columns, style), "  3\na 2\nb 10\n");
    }

    #[test]
    fn values_for_people() {
        let column = |kind, look| Column { kind, look, ..Column::text("x") };
        for (kind, look, value, wanted) in [
            (Type::Number, Look::Bytes, serde_json::json!(25_276_514_304_u64), "23.54 GiB"),
            (Type::Number, Look::Bytes, serde_json::json!(0), "0.00 B"),
            (Type::Number, Look::Bytes, serde_json::json!("1024"), "1.00 KiB"),
            (Type::Number, Look::Share, serde_json::json!(0.0213), "2.13%"),
            (Type::Number, Look::Duration, serde_json::json!(90_061), "1d 1h 1m 1s"),
            (Type::Number, Look::Duration, serde_json::json!(0), "0s"),
            (Type::Number, Look::Time, serde_json::json!(0), "1970-01-01 00:00:00"),
            (Type::Flag, Look::Plain, serde_json::json!(""), "0"),
            (Type::Text, Look::Yaml, serde_json::json!({ "a": 1 }), "a: 1\n"),
            (Type::Text, Look::Plain, serde_json::json!([1, "x"]), "[1,\"x\"]"),
        ] {
            assert_eq!(column(kind, look).show(&value, true), wanted);
        }
        assert_eq!(column(Type::Number, Look::Bytes).show(&serde_json::json!(2048), false), "2048");
    }
}
