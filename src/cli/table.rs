//! Rows under headings, aligned for a terminal.

use super::paint::Paint;

/// A table whose columns are as wide as their widest cell; the last one is not filled up.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A cell's text, and how it is shown once its width is known.
pub struct Cell {
    text: String,
    paint: fn(Paint, &str) -> String,
}

impl Cell {
    /// In the terminal's own colour.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::painted(text, |_, text| text.to_owned())
    }

    pub fn painted(text: impl Into<String>, paint: fn(Paint, &str) -> String) -> Self {
        Self {
            text: text.into(),
            paint,
        }
    }
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that it lacks are empty.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as lines.
    pub fn render(&self, paint: Paint) -> String {
        let widths: Vec<usize> = self
            .headings
            .iter()
            .enumerate()
            .map(|(at, heading)| self.width(at, heading))
            .collect();
        let headings: Vec<Cell> = self
            .headings
            .iter()
            .map(|heading| Cell::painted(*heading, |paint, text| paint.dim(text)))
            .collect();
        let mut out = line(&headings, &widths, paint);
        for row in &self.rows {
            out += &line(row, &widths, paint);
        }
        out
    }

    fn width(&self, column: usize, heading: &str) -> usize {
        let cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.text.chars().count());
        cells
            .chain([heading.chars().count()])
            .max()
            .unwrap_or_default()
    }
}

fn line(cells: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut out = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if at > 0 {
            out += "  ";
        }
        out += &(cell.paint)(paint, &cell.text);
        if at + 1 < cells.len() {
            let fill = width.saturating_sub(cell.text.chars().count());
            out += &" ".repeat(fill);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["a", "bb", "c"]);
        table.row(vec![
            Cell::plain("wide"),
            Cell::plain("ä"),
            Cell::plain("end"),
        ]);
        table.row(vec![Cell::plain("x"), Cell::plain("")]);
        assert_eq!(
            table.render(Paint::for_stdout()),
            "a     bb  c\nwide  ä   end\nx\n"
        );
    }
}
