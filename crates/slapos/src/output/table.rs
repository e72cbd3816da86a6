//! Aligned columns.

/// Rows of cells, printed in columns as wide as their widest cell.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a first row of column names.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    /// Adds a row whose last cell is an explanation, which may be long.
    pub(crate) fn explained(&mut self, name: &str, words: &str) {
        self.rows.push(vec![shown(name), shortened(words, 4000)]);
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn cells(&mut self, cells: impl Iterator<Item = String>) {
        self.rows.push(cells.map(|cell| shown(&cell)).collect());
    }

    /// True when there is nothing below the header.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }
}

/// Cells hold what instances and users chose: it must not steer a terminal nor flood it. `--json`
/// gives the whole.
fn shown(cell: &str) -> String {
    shortened(cell, 200)
}

fn shortened(cell: &str, longest: usize) -> String {
    let line = super::plain(cell).replace(['\n', '\t'], " ");
    match line.char_indices().nth(longest) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| cell.clone() + &" ".repeat(width - cell.chars().count()));
            let line = cells.collect::<Vec<_>>().join("  ");
            let end = if number + 1 == self.rows.len() { "" } else { "\n" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_neither_steer_the_terminal_nor_flood_it() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["\u{1b}[31m\u{202e}red\nx".into(), "y".repeat(70_000)]);
        let text = table.to_string();
        table.explained("why", &"z".repeat(70_000));
        assert!(table.to_string().contains(&"z".repeat(4000)) && table.to_string().len() < 9000);
        assert!(text.contains("[31mred x") && !text.contains(['\u{1b}', '\u{202e}']));
        assert!(text.len() < 1000);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["name", "state"]);
        table.row(["a-long-one".into(), "started".into()]);
        table.row(["b".into(), String::new()]);
        insta::assert_snapshot!(table, @r"
        name        state
        a-long-one  started
        b
        ");
    }
}
