//! "Did you mean …": the nearest of a list of words, by edit distance.
//!
//! Flags, commands, configuration keys and worker ids all come through here, so that a slip of the
//! finger reads the same everywhere. The distance is Damerau's restricted one (insertions,
//! deletions, replacements, and two neighbours swapped), because swapping is what fingers do.

/// The word of `words` most like `word`, unless all are too far off to be what was meant.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    words
        .into_iter()
        .map(|w| (distance(word, w), w))
        .filter(|(d, w)| *d < word.len().max(w.len()) && *d <= 1 + word.len().min(w.len()) / 5)
        .min_by_key(|(d, _)| *d)
        .map(|(_, w)| w)
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (
        a.to_lowercase().chars().take(64).collect(),
        b.to_lowercase().chars().take(64).collect(),
    );
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                step(&rows, &a, &b, i, j)
            };
        }
    }
    rows[a.len()][b.len()]
}

fn step(rows: &[Vec<usize>], a: &[char], b: &[char], i: usize, j: usize) -> usize {
    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
    let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
    if swapped {
        best.min(rows[i - 2][j - 2] + 1)
    } else {
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_far_fetched() {
        let words = ["status", "workers", "daemon", "config"];
        assert_eq!(nearest("statsu", words), Some("status"));
        assert_eq!(nearest("worker", words), Some("workers"));
        assert_eq!(nearest("Deamon", words), Some("daemon"));
        assert_eq!(nearest("fish", words), None);
        assert_eq!(nearest("", words), None);
        // Of one letter everything of one letter was near.
        assert_eq!(nearest("z", ["a", "css"]), None);
        assert_eq!(nearest("tcsh", ["bash", "zsh"]), None);
    }
}
