//! What of a command's environment keeps it here, though the classifier would send it.
//!
//! `rch exec` asks when it runs, of the environment that it has; `rch classify` asks of the one that a
//! text makes. The hook does not ask: a variable may come from anywhere, and `rch exec` will know.

use std::ffi::{OsStr, OsString};

use super::Kind;
use crate::config::vars::is_on;

/// A variable's value by its name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Variables by which tests are told to write their expectations anew, and the values that say so;
/// without any, all but nothing and `0` do. Of expect-test, insta, trybuild, goldenfile, snapbox, rustc's ui tests.
const UPDATES: &[(&str, &[&str])] = &[
    ("BLESS", &[]),
    ("INSTA_FORCE_UPDATE", &[]),
    ("INSTA_UPDATE", &["always", "unseen"]),
    ("RUSTC_BLESS", &[]),
    ("SNAPSHOTS", &["overwrite"]),
    ("TRYBUILD", &["overwrite"]),
    ("UPDATE_EXPECT", &[]),
    ("UPDATE_GOLDENFILES", &[]),
    ("UPDATE_SNAPSHOTS", &[]),
];

/// The variable that asks tests to write over sources: what they write elsewhere does not come here.
pub fn updates(kind: Kind, var: Lookup<'_>) -> Option<&'static str> {
    let asks = |value: &OsStr, values: &[&str]| match values {
        [] => !value.is_empty() && value != "0",
        values => values.iter().any(|v| value == *v),
    };
    let mut all = UPDATES.iter().filter(|_| kind == Kind::Test);
    let set = all.find(|(name, values)| var(name).is_some_and(|v| asks(&v, values)))?;
    Some(set.0)
}

/// Why `rch exec` would run it here, in words.
pub fn why(kind: Kind, var: Lookup<'_>) -> Option<String> {
    let on = |name: &str| var(name).is_some_and(|v| is_on(v.to_str()));
    let off = |name: &str| var(name).is_some_and(|v| !v.is_empty() && !is_on(v.to_str()));
    let mut switches = ["RCH_BYPASS", "RCH_LOCAL_ONLY", "RCH_DRY_RUN"].into_iter();
    if let Some(name) = switches.find(|name| on(name)) {
        return Some(format!("{name} is set"));
    }
    if off("RCH_ENABLED") {
        return Some("RCH_ENABLED is off".into());
    }
    updates(kind, var).map(|name| format!("{name} has tests change sources"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_it_here_by_its_value() {
        let said = |name: &str, value: &str, kind| {
            let var = |n: &str| (n == name).then(|| OsString::from(value));
            why(kind, &var).unwrap_or_default()
        };
        let sources = "UPDATE_EXPECT has tests change sources";
        assert_eq!(said("UPDATE_EXPECT", "1", Kind::Test), sources);
        for (name, value, kind) in [
            ("UPDATE_EXPECT", "1", Kind::Build),
            ("UPDATE_EXPECT", "0", Kind::Test),
            ("INSTA_UPDATE", "no", Kind::Test),
            ("RCH_BYPASS", "0", Kind::Build),
            ("RCH_ENABLED", "true", Kind::Build),
            ("RCH_ENABLED", "", Kind::Build),
        ] {
            assert_eq!(said(name, value, kind), "", "{name}={value}");
        }
        let insta = said("INSTA_UPDATE", "always", Kind::Test);
        assert_eq!(insta, "INSTA_UPDATE has tests change sources");
        let here = said("RCH_LOCAL_ONLY", "1", Kind::Build);
        assert_eq!(here, "RCH_LOCAL_ONLY is set");
        assert_eq!(
            said("RCH_ENABLED", "false", Kind::Run),
            "RCH_ENABLED is off"
        );
    }
}
