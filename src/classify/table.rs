//! The rules: which subcommands go, how sure we are, and what their flags mean.
//!
//! Confidence says who decides what the command does. 1.00: the tool itself, and it only compiles.
//! 0.95: the tool, and it runs the project's own tests. 0.90: the project's build files, under a
//! target that by every convention only builds or tests. 0.88: the product is run at home
//! afterwards. 0.70: nobody knows (a make target of the project's own invention, a foreign target
//! triple, an option that may act beyond the build). The default threshold, 0.85, lies between what
//! is known and what is not; one of 0.92 sends nothing that a build file decides. A flag that is in
//! no table keeps the command at home. Adding a tool is adding rows.

use super::flags::{Act, Flag, Takes};
use super::tables::{bun, cargo, native};
use super::{Kind, Tool, Why};

/// What words that are no options mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// There are none.
    Refuse,
    /// They choose among tests; any will do.
    Filters,
    /// The first ends the options: it and all after it are for the program.
    Program,
    /// Names of build targets, judged one by one.
    Targets,
    /// The first is the build directory; there is no other.
    Directory,
    /// Files to compile or link; there must be one.
    Inputs,
}

/// What follows `--`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Goes to what is run or to the compiler proper: anything.
    Anything,
    /// Operands.
    Operands,
    /// Arguments of make or ninja.
    Native,
}

#[derive(Debug)]
pub struct Row {
    pub tool: Tool,
    /// The canonical name first; a blank separates two words. An empty list: no subcommand.
    pub names: &'static [&'static str],
    pub kind: Kind,
    pub confidence: f32,
    pub flags: &'static [&'static [Flag]],
    pub operands: Operands,
    pub rest: Rest,
}

#[allow(clippy::too_many_arguments, reason = "one argument per column")]
const fn row(
    tool: Tool,
    names: &'static [&'static str],
    kind: Kind,
    confidence: f32,
    flags: &'static [&'static [Flag]],
    operands: Operands,
    rest: Rest,
) -> Row {
    Row {
        tool,
        names,
        kind,
        confidence,
        flags,
        operands,
        rest,
    }
}

const BUILD: &[&[Flag]] = &[cargo::COMMON, cargo::SELECT, cargo::COMPILE];
const TEST: &[&[Flag]] = &[cargo::COMMON, cargo::SELECT, cargo::COMPILE, cargo::TEST];
const DOC: &[&[Flag]] = &[cargo::COMMON, cargo::SELECT, cargo::COMPILE, cargo::DOC];
const CLIPPY: &[&[Flag]] = &[cargo::COMMON, cargo::SELECT, cargo::COMPILE, cargo::CLIPPY];
const RUSTC: &[&[Flag]] = &[cargo::COMMON, cargo::SELECT, cargo::COMPILE, cargo::RUSTC];
const NEXTEST: &[&[Flag]] = &[cargo::NEXTEST, cargo::COMMON, cargo::SELECT, cargo::COMPILE];

/// Every command that may go.
pub const ROWS: &[Row] = {
    use Kind::{Build, Check, Doc, Run, Test};
    use Operands::{Directory, Filters, Inputs, Program, Refuse, Targets};
    use Rest::{Anything, Native};
    &[
        row(
            Tool::Cargo,
            &["build", "b"],
            Build,
            1.0,
            BUILD,
            Refuse,
            Rest::Operands,
        ),
        row(
            Tool::Cargo,
            &["check", "c"],
            Check,
            1.0,
            BUILD,
            Refuse,
            Rest::Operands,
        ),
        row(
            Tool::Cargo,
            &["clippy"],
            Check,
            1.0,
            CLIPPY,
            Refuse,
            Anything,
        ),
        row(
            Tool::Cargo,
            &["test", "t"],
            Test,
            0.95,
            TEST,
            Filters,
            Anything,
        ),
        row(Tool::Cargo, &["bench"], Test, 0.95, TEST, Filters, Anything),
        row(
            Tool::Cargo,
            &["nextest run"],
            Test,
            0.95,
            NEXTEST,
            Filters,
            Anything,
        ),
        row(
            Tool::Cargo,
            &["doc", "d"],
            Doc,
            1.0,
            DOC,
            Refuse,
            Rest::Operands,
        ),
        row(Tool::Cargo, &["rustdoc"], Doc, 1.0, DOC, Refuse, Anything),
        row(Tool::Cargo, &["rustc"], Build, 1.0, RUSTC, Refuse, Anything),
        row(
            Tool::Cargo,
            &["run", "r"],
            Run,
            0.88,
            BUILD,
            Program,
            Anything,
        ),
        row(
            Tool::Rustc,
            &[],
            Build,
            1.0,
            &[native::RUSTC],
            Inputs,
            Rest::Operands,
        ),
        row(
            Tool::Bun,
            &["test"],
            Test,
            0.95,
            &[bun::TEST],
            Filters,
            Rest::Operands,
        ),
        row(
            Tool::Bun,
            &["typecheck"],
            Check,
            0.90,
            &[bun::COMMON],
            Refuse,
            Rest::Operands,
        ),
        row(Tool::Cc, &[], Build, 1.0, &[], Inputs, Rest::Operands),
        row(
            Tool::Make,
            &[],
            Build,
            0.90,
            &[native::MAKE],
            Targets,
            Rest::Operands,
        ),
        row(
            Tool::Ninja,
            &[],
            Build,
            0.90,
            &[native::NINJA],
            Targets,
            Rest::Operands,
        ),
        row(
            Tool::Cmake,
            &["--build"],
            Build,
            0.90,
            &[native::CMAKE],
            Directory,
            Native,
        ),
        row(
            Tool::Meson,
            &["compile"],
            Build,
            0.90,
            &[native::MESON],
            Targets,
            Rest::Operands,
        ),
    ]
};

/// Subcommands that stay, with the reason; a subcommand in neither table is unknown.
pub const NEVER: &[(Tool, &[&str], Why)] = &[
    (
        Tool::Cargo,
        &[
            "fmt",
            "fix",
            "clean",
            "install",
            "uninstall",
            "add",
            "remove",
            "rm",
            "update",
            "publish",
            "new",
            "init",
            "vendor",
            "yank",
            "login",
            "logout",
            "owner",
            "package",
            "generate-lockfile",
            "fetch",
            "set-version",
            "upgrade",
            "release",
            "sweep",
            "insta",
            "mutants",
        ],
        Why::Mutates,
    ),
    (
        Tool::Cargo,
        &[
            "version",
            "help",
            "metadata",
            "tree",
            "search",
            "info",
            "pkgid",
            "locate-project",
            "read-manifest",
            "verify-project",
            "report",
            "config",
            "audit",
            "outdated",
            "deny",
            "expand",
        ],
        Why::Query,
    ),
    (Tool::Cargo, &["watch", "bacon", "leptos"], Why::Watch),
    (
        Tool::Bun,
        &[
            "install", "i", "add", "a", "remove", "rm", "update", "link", "unlink", "run", "build",
            "dev", "start", "x", "create", "init", "upgrade", "publish", "patch", "pm",
        ],
        Why::Mutates,
    ),
    (
        Tool::Meson,
        &["setup", "install", "configure", "wrap", "init", "dist"],
        Why::Mutates,
    ),
    (Tool::Meson, &["introspect", "help"], Why::Query),
    (Tool::Cmake, &["--install"], Why::Mutates),
];

/// Short for a table line.
pub const fn flag(names: &'static [&'static str], takes: Takes, act: Act) -> Flag {
    Flag { names, takes, act }
}
