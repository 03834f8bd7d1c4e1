//! Tables (`PVE::CLIFormatter::print_text_table`).

use serde_json::Value;

use super::json;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Right-aligned, sorted by value.
    pub(super) number: bool,
}

/// Columns of text.
pub(super) fn plain(names: &[&str]) -> Vec<Column> {
    names.iter().map(|&name| Column { name: name.to_owned(), number: false }).collect()
}

/// All keys that occur, sorted.
pub(super) fn guessed(items: &[Value]) -> Vec<Column> {
    let keys = items.iter().filter_map(Value::as_object).flat_map(|members| members.keys());
    let keys: std::collections::BTreeSet<&String> = keys.collect();
    keys.into_iter().map(|name| Column { name: name.clone(), number: false }).collect()
}

/// A value as a table shows it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Number(number) => number.to_string(),
        other => json::canonical(other),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The rows as a table, sorted by the first column.
pub(super) fn render(items: &[Value], columns: &[Column], header: bool, border: bool) -> String {
    let mut rows: Vec<Vec<Vec<String>>> = Vec::new();
    let mut sorted: Vec<&Value> = items.iter().collect();
    if let Some(first) = columns.first() {
        let number = |item: &Value| item.get(&first.name).and_then(Value::as_f64).unwrap_or(-1.0);
        if first.number {
            sorted.sort_by(|a, b| number(a).total_cmp(&number(b)));
        } else {
            sorted.sort_by_key(|item| cell(item.get(&first.name).unwrap_or(&Value::Null)));
        }
    }
    for item in sorted {
        let cells = columns.iter().map(|column| {
            let text = cell(item.get(&column.name).unwrap_or(&Value::Null));
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        rows.push(cells.collect());
    }
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).flatten();
            cells.map(|line| width(line)).chain([width(&column.name)]).max().unwrap_or(0)
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
        let titles: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
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
            let cells: Vec<String> =
                row.iter().map(|lines| lines.get(number).cloned().unwrap_or_default()).collect();
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
            if column.number { format!("{text:>width$}") } else { format!("{text:<width$}") }
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
        let rows =
            [serde_json::json!({ "k": "b", "n": 10 }), serde_json::json!({ "k": "a", "n": 2 })];
        let columns =
            [Column { name: "k".into(), number: false }, Column { name: "n".into(), number: true }];
        assert_eq!(
            render(&rows, &columns, true, true),
            "┌───┬────┐\n│ k │  n │\n╞═══╪════╡\n│ a │  2 │\n├───┼────┤\n│ b │ 10 │\n└───┴────┘\n"
        );
        assert_eq!(render(&rows, &columns, false, false), "a 2\nb 10\n");
    }
}
