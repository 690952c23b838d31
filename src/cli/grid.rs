//! Tables for people: columns that line up, and one or two that give way when the line is full.
//!
//! Widths count columns, not bytes. It knows neither workers nor jobs.

use super::out::{Ink, Look};

/// One field.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    ink: Ink,
    right: bool,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            ink: Ink::Plain,
            right: false,
        }
    }

    #[must_use]
    pub fn ink(mut self, ink: Ink) -> Cell {
        self.ink = ink;
        self
    }

    /// A number: its end lines up.
    #[must_use]
    pub fn right(mut self) -> Cell {
        self.right = true;
        self
    }
}

/// One line, and what stands below it (whole lines).
pub struct Row {
    pub cells: Vec<Cell>,
    pub below: String,
}

/// Least width of a column that gives way.
const LEAST: usize = 12;

/// Draws `rows` with two spaces before and between the columns. The columns in `give` are shortened,
/// in that order, if the line would be wider than the look allows.
pub fn draw(look: &Look, rows: &[Row], give: &[usize]) -> String {
    let widths = widths(look, rows, give);
    let mut out = String::new();
    for row in rows {
        out.push_str(&line(look, row, &widths));
        out.push_str(&row.below);
    }
    out
}

fn widths(look: &Look, rows: &[Row], give: &[usize]) -> Vec<usize> {
    let count = rows.iter().map(|r| r.cells.len()).max().unwrap_or(0);
    let widest = |i: usize| {
        let cells = rows.iter().filter_map(|r| r.cells.get(i));
        cells.map(|c| c.text.chars().count()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..count).map(widest).collect();
    let used = widths
        .iter()
        .filter(|w| **w > 0)
        .map(|w| w + 2)
        .sum::<usize>();
    let mut over = used.saturating_sub(look.width);
    for &i in give {
        if let Some(width) = widths.get_mut(i) {
            let less = over.min(width.saturating_sub(LEAST));
            *width -= less;
            over -= less;
        }
    }
    widths
}

fn line(look: &Look, row: &Row, widths: &[usize]) -> String {
    let mut out = String::new();
    let mut gap = 0;
    for (cell, &width) in row.cells.iter().zip(widths).filter(|(_, w)| **w > 0) {
        let text = shorten(look, &cell.text, width);
        let pad = width - text.chars().count();
        let (before, after) = if cell.right { (pad, 0) } else { (0, pad) };
        // Spaces are owed, and paid only if something follows: no line ends in blanks.
        if text.is_empty() {
            gap += 2 + width;
            continue;
        }
        out.push_str(&" ".repeat(gap + 2 + before));
        out.push_str(&look.paint(cell.ink, &text));
        gap = after;
    }
    out.push('\n');
    out
}

/// Cuts `text` to `width` characters, and shows that it did.
pub fn shorten(look: &Look, text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let mark = if look.ascii { "..." } else { "…" };
    let keep = width.saturating_sub(mark.chars().count());
    let mut out: String = text.chars().take(keep).collect();
    out.push_str(mark);
    out
}

/// `text` in lines of at most `width` columns: the first begins at `column`, where something may stand
/// before it, the others behind `indent` blanks. A word that is longer is not cut.
pub fn fold(text: &str, column: usize, indent: usize, width: usize) -> String {
    let (mut out, mut used, mut fresh) = (String::new(), column, true);
    for word in text.split(' ') {
        let length = word.chars().count();
        if !fresh && used + 1 + length > width.max(indent + 20) {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if !fresh {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
        fresh = false;
    }
    out
}

/// How much of something is in use.
pub fn bar(look: &Look, used: u32, total: u32, width: usize) -> String {
    let (full, empty) = if look.ascii {
        ('#', '.')
    } else {
        ('█', '░')
    };
    let total = u64::from(total.max(1));
    let cells = (u64::from(used) * width as u64).div_ceil(total) as usize;
    (0..width)
        .map(|i| if i < cells { full } else { empty })
        .collect()
}

/// `0 B`, `1.5 kB`, `182 MB`: three digits, powers of 1000.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit > 0 && value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::Format;

    const LOOK: Look = Look {
        format: Format::People,
        color: false,
        ascii: true,
        width: 40,
        terminal: false,
        quiet: false,
        verbose: false,
    };

    #[test]
    fn columns_line_up_and_the_long_one_gives_way() {
        let row = |a: &str, b: &str, n: &str| Row {
            cells: vec![Cell::new(a), Cell::new(b), Cell::new(n).right()],
            below: String::new(),
        };
        let rows = [
            row("a", "short", "7"),
            row("bb", "a very long text that cannot fit here", "1234"),
            row("c", "", ""),
        ];
        assert_eq!(
            draw(&LOOK, &rows, &[1]),
            "  a   short                            7\n\
             \x20 bb  a very long text that can...  1234\n\
             \x20 c\n"
        );
    }

    #[test]
    fn long_text_is_folded_and_long_words_are_not_cut() {
        let indent = "\n                    ";
        assert_eq!(fold("one two", 20, 20, 80), "one two");
        assert_eq!(
            fold(
                "a text of some words and-one-that-is-very-long x",
                20,
                20,
                40
            ),
            format!("a text of some words{indent}and-one-that-is-very-long{indent}x")
        );
        assert_eq!(fold("x: a b c", 0, 2, 5), "x: a b c");
        assert_eq!(
            fold("one two three four five six", 0, 2, 24),
            "one two three four five\n  six"
        );
    }

    #[test]
    fn sizes_have_three_digits() {
        let all: Vec<String> = [0, 999, 1000, 9_949, 182_000_000, 999_600_000, u64::MAX]
            .map(bytes)
            .to_vec();
        assert_eq!(
            all,
            [
                "0 B", "999 B", "1.0 kB", "9.9 kB", "182 MB", "1.0 GB", "18447 PB"
            ]
        );
    }

    #[test]
    fn a_bar_shows_the_least_use() {
        assert_eq!(bar(&LOOK, 0, 8, 4), "....");
        assert_eq!(bar(&LOOK, 1, 100, 4), "#...");
        assert_eq!(bar(&LOOK, 8, 8, 4), "####");
        assert_eq!(bar(&LOOK, 9, 8, 4), "####");
        assert_eq!(bar(&LOOK, 0, 0, 4), "....");
    }
}
