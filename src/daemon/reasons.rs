//! Why jobs ran here, counted. Pure.
//!
//! A reason tells its particulars in parentheses: what was measured, what ssh said. They belong to the
//! job that `rch status --jobs` shows; counted are reasons without them, so that the like add up.

use std::collections::HashMap;

/// Distinct reasons that are counted by themselves; errors of other programs could make no end of
/// them.
const DISTINCT: usize = 64;
const OTHERS: &str = "other reasons; 'rch daemon logs' has them";

#[derive(Debug, Default)]
pub(super) struct Reasons(HashMap<String, u64>);

impl Reasons {
    pub(super) fn count(&mut self, reason: &str) {
        let mut kind = bare(reason);
        if self.0.len() >= DISTINCT && !self.0.contains_key(&kind) {
            kind = OTHERS.into();
        }
        *self.0.entry(kind).or_default() += 1;
    }

    /// Most frequent first.
    pub(super) fn list(&self) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> = self.0.iter().map(|(r, n)| (r.clone(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }
}

/// Without what stands in parentheses, and the blank before each.
fn bare(reason: &str) -> String {
    let mut out = String::with_capacity(reason.len());
    let mut depth = 0_u32;
    for c in reason.chars() {
        match c {
            '(' => {
                if depth == 0 && out.ends_with(' ') {
                    out.pop();
                }
                depth += 1;
            }
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each local run had a time of its own in its reason, so that twenty of them were twenty reasons.
    #[test]
    fn the_like_add_up() {
        let mut reasons = Reasons::default();
        for ms in [29, 31, 31] {
            reasons.count(&format!("too short to be worth it ({ms} ms here)"));
        }
        reasons.count("css: cannot be reached (ssh: no route (to host)), old: drained");
        let list = reasons.list();
        assert_eq!(list[0], ("too short to be worth it".to_string(), 3));
        assert_eq!(list[1].0, "css: cannot be reached, old: drained");
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut reasons = Reasons::default();
        for n in 0..1000 {
            reasons.count(&format!("rsync failed with status {n}"));
        }
        let list = reasons.list();
        assert_eq!(list.len(), DISTINCT + 1);
        assert_eq!(list[0], (OTHERS.to_string(), 1000 - DISTINCT as u64));
    }
}
