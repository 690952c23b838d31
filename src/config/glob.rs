//! What a glob must be to mean something: brackets and braces closed, no backslash at its end.
//!
//! The library that matches takes a broken one for one that matches nothing, and what was to stay here
//! would travel.

/// What is wrong with `glob`.
pub fn fault(glob: &str) -> Option<&'static str> {
    let mut chars = glob.chars();
    let mut braces: u32 = 0;
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return Some("it ends in '\\'"),
            '[' if !skip_class(&mut chars) => return Some("'[' without ']'"),
            '{' => braces = braces.saturating_add(1),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    (braces > 0).then_some("'{' without '}'")
}

/// Goes behind the end of a class; false if there is none. A `]` at its beginning is one of its letters.
fn skip_class(chars: &mut std::str::Chars<'_>) -> bool {
    let mut first = chars.next();
    if matches!(first, Some('!' | '^')) {
        first = chars.next();
    }
    let mut next = match first {
        Some(']') => chars.next(),
        other => other,
    };
    while let Some(c) = next {
        match c {
            ']' => return true,
            '\\' => next = chars.next().and_then(|_| chars.next()),
            _ => next = chars.next(),
        }
    }
    false
}

/// The globs of a list that was typed: its commas, but for those in braces.
pub fn split(list: &str) -> Vec<&str> {
    let mut braces: u32 = 0;
    let comma = |c: char| {
        match c {
            '{' => braces = braces.saturating_add(1),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        c == ',' && braces == 0
    };
    list.split(comma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `*.{o,a}` became `*.{o` and `a}`.
    #[test]
    fn commas_in_braces_are_the_globs_own() {
        assert_eq!(split("*.{o,a},b, c"), ["*.{o,a}", "b", " c"]);
        assert_eq!(split("{a,{b,c}},d"), ["{a,{b,c}}", "d"]);
        assert_eq!(split(""), [""]);
    }

    /// A secret travelled because a bracket was not closed.
    #[test]
    fn a_glob_that_can_match_nothing_is_at_fault() {
        for broken in [
            "[ab", "x[", "[]", "[!", "[a\\]", "{a,b", "x{", "a\\", "{[}]",
        ] {
            assert!(fault(broken).is_some(), "{broken}");
        }
        for (good, name) in [
            ("a]b", "a]b"),
            ("a}b", "a}b"),
            ("[]a]", "]"),
            ("[!]a]", "b"),
            ("[a\\]b]", "]"),
            ("{[}],b}", "}"),
            ("\\{a", "{a"),
            ("\\[a", "[a"),
            ("{a,{b,c}}", "c"),
            ("**/*.[oa]", "x/y.o"),
        ] {
            assert_eq!(fault(good), None, "{good}");
            assert!(fast_glob::glob_match(good, name), "{good}");
        }
    }
}
