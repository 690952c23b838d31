//! Globs as they are typed: whether each is one, and where one ends in a list.
//!
//! The library that matches takes a broken one for one that matches nothing, and what was to stay here
//! would travel.

/// What is wrong with `glob`.
pub fn fault(glob: &str) -> Option<String> {
    fast_glob::validate(glob).err().map(|e| e.to_string())
}

/// Where in a class (`[…]`) a letter stands.
#[derive(Clone, Copy)]
enum Class {
    Outside,
    /// Behind `[`, where `!` and `^` turn it round.
    Begins,
    /// Where a `]` is one of its letters.
    First,
    Inside,
}

/// The globs of a list: its commas, but for those in braces and classes.
pub fn split(list: &str) -> Vec<&str> {
    let (mut class, mut braces, mut escaped) = (Class::Outside, 0_u32, false);
    let ends_one = |c: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        let outside = matches!(class, Class::Outside);
        escaped = c == '\\';
        class = match (class, c) {
            (Class::Outside, '[') => Class::Begins,
            (Class::Begins, '!' | '^') => Class::First,
            (Class::Inside, ']') | (Class::Outside, _) => Class::Outside,
            (Class::Begins | Class::First | Class::Inside, _) => Class::Inside,
        };
        match c {
            '{' if outside => braces = braces.saturating_add(1),
            '}' if outside => braces = braces.saturating_sub(1),
            _ => {}
        }
        c == ',' && outside && braces == 0
    };
    list.split(ends_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret travelled because a bracket was not closed, or because there were too many braces.
    #[test]
    fn a_glob_that_can_match_nothing_is_at_fault() {
        let braces = "{a,b}".repeat(11);
        for broken in [
            "[ab", "x[", "[]", "[!", "[a\\]", "{a,b", "x{", "a\\", "{[}]", &braces,
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

    /// `*.{o,a}` became `*.{o` and `a}`, and of `[{],b` the second was lost.
    #[test]
    fn commas_in_braces_and_classes_are_the_globs_own() {
        for (list, globs) in [
            ("*.{o,a},b, c", &["*.{o,a}", "b", " c"][..]),
            ("{a,{b,c}},d", &["{a,{b,c}}", "d"]),
            ("[{],b", &["[{]", "b"]),
            ("[,],b", &["[,]", "b"]),
            ("[!],],b", &["[!],]", "b"]),
            ("[^]],b", &["[^]]", "b"]),
            ("[\\],],b", &["[\\],]", "b"]),
            ("\\{a,b", &["\\{a", "b"]),
            ("a\\,b", &["a\\,b"]),
            ("", &[""]),
        ] {
            assert_eq!(split(list), globs, "{list}");
        }
    }
}
