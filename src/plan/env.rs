//! Which of the agent's variables travel with a job.
//!
//! A job gets the worker's environment; on top come variables that steer builds (a fixed list),
//! those the command set itself (`RUST_BACKTRACE=1 cargo test`), and the user's allowlist. Whatever
//! looks like a credential stays, even if a list names its family; `RCH_*` never travels. Search
//! paths and places (`PATH`, `HOME`, `CARGO_HOME`) are the worker's own.

use std::ffi::{OsStr, OsString};

/// Variables that steer compilers, build tools and test runners, by exact name.
const EXACT: &[&str] = &[
    // bun's tests have other words for agents, and for GitHub.
    "AGENT",
    "AR",
    "AS",
    "BUN_OPTIONS",
    "CC",
    "CFLAGS",
    "CI",
    "CLAUDECODE",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "CPP",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "FORCE_COLOR",
    "GCC_COLORS",
    "GCC_URLS",
    "GITHUB_ACTIONS",
    "HOST_CC",
    "HOST_CFLAGS",
    "LANG",
    "LANGUAGE",
    "LD",
    "LDFLAGS",
    "LDLIBS",
    "NINJA_STATUS",
    "NM",
    "NODE_ENV",
    "NODE_OPTIONS",
    "NO_COLOR",
    "OBJCOPY",
    "RANLIB",
    "REPL_ID",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "SOURCE_DATE_EPOCH",
    "STRIP",
    "TARGET_CC",
    "TARGET_CFLAGS",
    "TERM",
    "TERM_URLS",
    "TZ",
    "V",
    "VERBOSE",
];

/// Families of such variables, by prefix.
const PREFIX: &[&str] = &[
    "AR_",
    "CARGO_",
    "CC_",
    "CFLAGS_",
    "CMAKE_",
    "CRITERION_",
    "CXXFLAGS_",
    "CXX_",
    "INSTA_",
    "LC_",
    "NEXTEST_",
    "PKG_CONFIG_",
    "PROPTEST_",
    "QUICKCHECK_",
    "RUST_",
];

/// What a name's part says about its value.
const SECRET: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
];

/// As `SECRET`, where it is a whole part of the name (`STRIPE_KEY`).
const SECRET_PARTS: &[&str] = &[
    "AUTH",
    "COOKIE",
    "DSN",
    "KEY",
    "PASS",
    "PASSPHRASE",
    "PAT",
    "PWD",
    "WEBHOOK",
];

/// The worker's own, or of no use to it, whoever sets them.
const PLACES: &[&str] = &[
    "CARGO_HOME",
    "DISPLAY",
    "HISTFILE",
    "HOME",
    "LOGNAME",
    "MAKEFLAGS",
    "MFLAGS",
    "OLDPWD",
    "PATH",
    "PROMPT_COMMAND",
    "PS1",
    "PWD",
    "RUSTUP_HOME",
    "SHELL",
    "SHLVL",
    "TMPDIR",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "_",
];

/// Stands for "a tool's place at home", which means nothing elsewhere, and for what cargo sets for
/// its own children (a build started by a cargo subcommand).
const CARGO_OWN: &[&str] = &[
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
];

/// Whether the variable may ever leave this machine.
pub fn may_travel(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !(upper.starts_with("RCH_")
        || upper.starts_with("SSH_")
        || upper.starts_with("LD_")
        || upper.starts_with("CARGO_PKG_")
        || PLACES.contains(&name)
        || CARGO_OWN.contains(&name)
        || SECRET.iter().any(|s| upper.contains(s))
        || upper.split('_').any(|part| SECRET_PARTS.contains(&part)))
}

/// Whether the value is an address with a password in it: `scheme://user:password@host`.
pub fn holds_password(value: &OsStr) -> bool {
    let text = value.to_string_lossy();
    let addresses = text.split("://").skip(1);
    addresses
        .filter_map(|rest| rest.split(['/', ' ', '?']).next())
        .any(|authority| {
            authority
                .rsplit_once('@')
                .is_some_and(|(user, _)| user.contains(':'))
        })
}

/// The variables that go with a job. `own` names those the command set itself; `allow` is the
/// user's list, in which a trailing `*` stands for any ending.
pub fn travelling(
    env: &[(OsString, OsString)],
    own: &[OsString],
    allow: &[String],
) -> Vec<(OsString, OsString)> {
    let wanted = |name: &str| {
        EXACT.contains(&name)
            || PREFIX.iter().any(|p| name.starts_with(p))
            || own.iter().any(|o| o == name)
            || allow.iter().any(|pattern| matches(pattern, name))
    };
    env.iter()
        .filter(|(name, _)| name.to_str().is_some_and(|n| wanted(n) && may_travel(n)))
        .filter(|(_, value)| !holds_password(value))
        .cloned()
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// Sets a variable unless it is set.
pub fn set_default(env: &mut Vec<(OsString, OsString)>, name: &str, value: &str) {
    if !has(env, name) {
        env.push((name.into(), value.into()));
    }
}

fn has(env: &[(OsString, OsString)], name: &str) -> bool {
    env.iter().any(|(n, _)| n == name)
}

/// A variable's value.
pub fn get<'a>(env: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    env.iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(env: &[(&str, &str)], own: &[&str], allow: &[&str]) -> Vec<String> {
        let env: Vec<_> = env
            .iter()
            .map(|(k, v)| (OsString::from(k), OsString::from(v)))
            .collect();
        let own: Vec<_> = own.iter().map(OsString::from).collect();
        let allow: Vec<_> = allow.iter().map(|s| (*s).to_string()).collect();
        travelling(&env, &own, &allow)
            .into_iter()
            .map(|(k, _)| k.into_string().unwrap())
            .collect()
    }

    #[test]
    fn build_variables_travel_and_credentials_never() {
        let env = [
            ("RUSTFLAGS", ""),
            ("CARGO_PROFILE_DEV_DEBUG", ""),
            ("CARGO_REGISTRY_TOKEN", ""),
            ("CARGO_REGISTRIES_MINE_TOKEN", ""),
            ("CARGO_HOME", ""),
            ("PATH", ""),
            ("AWS_SECRET_ACCESS_KEY", ""),
            ("RCH_WORKER", ""),
            ("EDITOR", ""),
            ("LC_ALL", ""),
            ("CLAUDECODE", ""),
        ];
        assert_eq!(
            names(&env, &["AWS_SECRET_ACCESS_KEY", "RCH_WORKER"], &["*"]).len(),
            5
        );
        assert_eq!(
            names(&env, &[], &[]),
            [
                "RUSTFLAGS",
                "CARGO_PROFILE_DEV_DEBUG",
                "LC_ALL",
                "CLAUDECODE"
            ]
        );
    }

    #[test]
    fn names_and_values_that_look_like_credentials_stay() {
        let env = [
            ("STRIPE_KEY", "x"),
            ("NPM_AUTH", "x"),
            ("DB_PWD", "x"),
            ("SENTRY_DSN", "x"),
            ("DATABASE_URL", "postgres://me:secret@db/app"),
            ("OTHER_URL", "postgres://me@db/app?x=a:b@c"),
            ("KEYBOARD", "x"),
            ("PATTERN", "a:b@c"),
        ];
        assert_eq!(
            names(&env, &[], &["*"]),
            ["OTHER_URL", "KEYBOARD", "PATTERN"]
        );
    }

    #[test]
    fn what_the_command_set_and_what_the_user_allowed_travels() {
        let env = [("FOO", ""), ("DATABASE_URL", ""), ("OTHER", "")];
        assert_eq!(
            names(&env, &["FOO"], &["DATABASE_*"]),
            ["FOO", "DATABASE_URL"]
        );
    }
}
