//! Text in columns that fit a terminal (pure).

/// No column that has to give way becomes narrower.
const NARROWEST: usize = 9;

/// What stands between columns.
pub const GAP: usize = 2;

/// How wide each column is: as its widest cell, but where they do not fit into `room` together, the widest ones give way.
pub fn fit(widest: &[usize], room: Option<usize>) -> Vec<usize> {
    let mut widths = widest.to_vec();
    let Some(room) = room else {
        return widths;
    };
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
    while over > 0 {
        let Some(width) = widths.iter_mut().filter(|width| **width > NARROWEST).max() else {
            break;
        };
        *width -= 1;
        over -= 1;
    }
    widths
}

/// The lines of a cell of this width: broken behind a space where one is near, else behind a mark as names and addresses
/// have it, else anywhere.
pub fn fold(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let Some((end, _)) = rest.char_indices().nth(width.max(1)) else {
            lines.push(rest);
            return lines;
        };
        let fits = &rest[..end];
        let space = match rest[end..].starts_with(' ') {
            true => Some(end),
            false => fits.rfind(' ').filter(|at| *at > 0),
        };
        let mark = || fits.rfind(['.', '/', ',', '-', '_', '=', ':', '&', '?']);
        let line = match space.or_else(|| mark().map(|at| at + 1)) {
            Some(at) => &rest[..at],
            None => fits,
        };
        lines.push(line.trim_end());
        rest = rest[line.len()..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way_until_all_fit() {
        assert_eq!(fit(&[3, 40, 20], None), [3, 40, 20]);
        assert_eq!(fit(&[3, 40, 20], Some(80)), [3, 40, 20]);
        let fitted = fit(&[3, 40, 20], Some(50));
        assert_eq!(fitted.iter().sum::<usize>() + 2 * GAP, 50);
        assert_eq!(fitted[0], 3);
        assert_eq!(fit(&[30, 30], Some(5)), [NARROWEST, NARROWEST]);
    }

    #[test]
    fn a_cell_is_broken_where_a_reader_would() {
        assert_eq!(fold("", 9), [""]);
        assert_eq!(fold("short", 9), ["short"]);
        assert_eq!(fold("one two three", 9), ["one two", "three"]);
        assert_eq!(
            fold("crm.item.details.reset", 12),
            ["crm.item.", "details.", "reset"]
        );
        assert_eq!(fold("ääääää", 4), ["ääää", "ää"]);
        assert_eq!(fold("one, two", 4), ["one,", "two"]);
    }
}
