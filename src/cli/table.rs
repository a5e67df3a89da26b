//! Rows under headings, aligned for a terminal.

use super::paint::Paint;
use super::terminal;
use crate::columns::{GAP, fit, fold};

/// A table whose columns are as wide as their widest cell, or narrower where the terminal is: cells are folded then. The
/// last column is not filled up.
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

    /// In a terminal leaves out the columns of `empty` that hold nothing (no text, or 0), then as many of `spare`, in this order, as
    /// it takes for the rest to fit. Tells which of `spare` are gone.
    pub fn fit(&mut self, empty: &[&str], spare: &[&'static str]) -> Vec<&'static str> {
        match terminal::width() {
            Some(room) => self.fit_into(room, empty, spare),
            None => Vec::new(),
        }
    }

    fn fit_into(
        &mut self,
        room: usize,
        empty: &[&str],
        spare: &[&'static str],
    ) -> Vec<&'static str> {
        for name in empty {
            let holds_nothing = |at: usize| {
                let mut cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.all(|cell| matches!(cell.text.as_str(), "" | "0"))
            };
            if self.place(name).is_some_and(holds_nothing) {
                self.leave_out(name);
            }
        }
        let mut gone = Vec::new();
        for name in spare {
            let headings = self.headings.iter().enumerate();
            let widths = headings.map(|(at, heading)| self.width(at, heading) + GAP);
            if widths.sum::<usize>() <= room + GAP {
                break;
            }
            if self.place(name).is_some() {
                self.leave_out(name);
                gone.push(*name);
            }
        }
        gone
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.headings.iter().position(|heading| *heading == name)
    }

    fn leave_out(&mut self, name: &str) {
        if let Some(at) = self.place(name) {
            self.headings.remove(at);
            for row in self.rows.iter_mut().filter(|row| at < row.len()) {
                row.remove(at);
            }
        }
    }

    /// The table as lines, for the terminal.
    pub fn render(&self, paint: Paint) -> String {
        self.render_in(terminal::width(), paint)
    }

    /// The table as lines of at most this many columns, where that can be.
    fn render_in(&self, room: Option<usize>, paint: Paint) -> String {
        let widest: Vec<usize> = self
            .headings
            .iter()
            .enumerate()
            .map(|(at, heading)| self.width(at, heading))
            .collect();
        let widths = fit(&widest, room);
        let headings: Vec<Cell> = self
            .headings
            .iter()
            .map(|heading| Cell::painted(*heading, |paint, text| paint.dim(text)))
            .collect();
        let mut out = lines(&headings, &widths, paint);
        for row in &self.rows {
            out += &lines(row, &widths, paint);
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

fn lines(cells: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut folded: Vec<Vec<&str>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| fold(&cell.text, *width))
        .collect();
    // A row of fewer cells is a sentence of its own, which runs on to the end.
    if let (Some(last), true) = (folded.last_mut(), cells.len() < widths.len()) {
        let room = widths[cells.len() - 1..].iter().map(|width| width + GAP);
        *last = fold(&cells[cells.len() - 1].text, room.sum::<usize>() - GAP);
    }
    let height = folded.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = String::new();
    for number in 0..height {
        let begin = out.len();
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let text = folded[at].get(number).copied().unwrap_or_default();
            if at > 0 {
                out += &" ".repeat(GAP);
            }
            if !text.is_empty() {
                out += &(cell.paint)(paint, text);
            }
            if at + 1 < cells.len() {
                out += &" ".repeat(width.saturating_sub(text.chars().count()));
            }
        }
        let end = begin + out[begin..].trim_end().len();
        out.truncate(end);
        out.push('\n');
    }
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

    #[test]
    fn columns_that_hold_nothing_go_first_then_those_that_can_be_spared() {
        let table = || {
            let mut table = Table::new(&["who", "owner", "calls", "errors", "last"]);
            let cells = ["a shop", "", "12", "0", "2026-11-30"];
            table.row(cells.map(Cell::plain).into());
            table
        };
        let mut wide = table();
        assert_eq!(wide.fit_into(30, &["owner", "errors"], &["last"]), [""; 0]);
        assert_eq!(wide.headings, ["who", "calls", "last"]);
        let mut narrow = table();
        assert_eq!(
            narrow.fit_into(20, &["owner", "errors"], &["last"]),
            ["last"]
        );
        assert_eq!(narrow.headings, ["who", "calls"]);
    }

    #[test]
    fn cells_are_folded_where_the_terminal_is_narrow() {
        let mut table = Table::new(&["method", "successor"]);
        table.row(vec![
            Cell::plain("crm.lead.list"),
            Cell::plain("crm.item.details.configuration.reset"),
        ]);
        table.row(vec![Cell::plain("x"), Cell::plain("y")]);
        let text = table.render_in(Some(36), Paint::for_stdout());
        assert_eq!(
            text,
            "method         successor\n\
             crm.lead.list  crm.item.details.\n               configuration.reset\n\
             x              y\n"
        );
    }
}
