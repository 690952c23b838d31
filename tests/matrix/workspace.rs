//! A workspace with a procedural macro, a dependency in another repository beside it, a patch and a
//! dynamic library, seen from several directories.

use std::path::Path;
use std::process::Command;

use crate::common::write;
use crate::pair::{Keep, Pair, ground};

fn package(dir: &Path, name: &str, rest: &str, lib: &str) {
    let head =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}");
    write(&dir.join("Cargo.toml"), &head);
    write(&dir.join("src/lib.rs"), lib);
}

const MACRO: &str = r#"extern crate proc_macro;

#[proc_macro]
pub fn here(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    format!("{dir:?}").parse().unwrap()
}
"#;

const LOCK: &str = r#"version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "beside",
 "left",
 "mac",
 "util",
]

[[package]]
name = "beside"
version = "0.1.0"

[[package]]
name = "left"
version = "0.1.0"

[[package]]
name = "mac"
version = "0.1.0"

[[package]]
name = "util"
version = "0.1.0"
"#;

/// `ws` and `other`, two repositories; `other/deep/beside` is a dependency of `ws/app`.
fn repositories(top: &Path) {
    let ws = top.join("ws");
    write(
        &ws.join("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"mac\", \"util\"]\n\n[workspace.dependencies]\nutil = { path = \"util\" }\n\n[patch.crates-io]\nleft = { path = \"../other/left\" }\n",
    );
    write(&ws.join("Cargo.lock"), LOCK);
    package(
        &ws.join("app"),
        "app",
        "\n[dependencies]\nutil.workspace = true\nmac = { path = \"../mac\" }\nbeside = { path = \"../../other/deep/beside\" }\nleft = \"0.1\"\n",
        "pub fn all() -> Vec<&'static str> {\n    vec![mac::here!(), util::PLACE, beside::text(), left::SIDE]\n}\n\n#[test]\nfn four() {\n    assert_eq!(all().len(), 4);\n}\n",
    );
    write(
        &ws.join("app/src/main.rs"),
        "fn main() {\n    println!(\"{:?} {}\", app::all(), file!());\n}\n",
    );
    package(
        &ws.join("mac"),
        "mac",
        "\n[lib]\nproc-macro = true\n",
        MACRO,
    );
    package(
        &ws.join("util"),
        "util",
        "",
        "pub const PLACE: &str = env!(\"CARGO_MANIFEST_DIR\");\n",
    );
    let other = top.join("other");
    package(
        &other.join("deep/beside"),
        "beside",
        "",
        "pub fn text() -> &'static str {\n    include_str!(\"../../../shared.txt\")\n}\n",
    );
    write(
        &other.join("shared.txt"),
        "shared by the whole repository\n",
    );
    package(
        &other.join("left"),
        "left",
        "",
        "pub const SIDE: &str = file!();\n",
    );
    for repository in [&ws, &other] {
        let made = Command::new("git")
            .args(["init", "-q", "--template="])
            .arg(repository)
            .status();
        assert!(made.unwrap().success());
    }
}

#[test]
fn a_workspace_from_every_side() {
    let mut ground = ground("ws");
    let at = |cwd, argv| Pair {
        cwd,
        ..Pair::new(&repositories, argv)
    };
    let built = ground.pair(&at("ws", &["cargo", "build", "--offline"]));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(built.files.contains_key(Path::new("ws/target/debug/app")));
    ground.pair(&at("ws/app", &["cargo", "build", "--offline"]));
    let far = [
        "cargo",
        "build",
        "--offline",
        "--manifest-path",
        "ws/app/Cargo.toml",
    ];
    ground.pair(&at("", &far));
    ground.pair(&at("ws", &["cargo", "-C", "app", "build"]));
    ground.pair(&at("ws", &["cargo", "build", "--offline", "-p", "util"]));
    ground.pair(&Pair {
        keep: Keep::Tree,
        ..at("ws/util", &["cargo", "test", "--offline", "--workspace"])
    });
    ground.pair(&Pair {
        keep: Keep::Tree,
        ..at("ws", &["cargo", "clippy", "--offline", "--workspace"])
    });
    let docs = ["cargo", "doc", "--offline", "--no-deps", "-p", "util"];
    ground.pair(&at("ws", &docs));
}

/// An executable finds its dynamic library beside it, so that must come home too.
#[test]
fn a_dynamic_library() {
    let mut ground = ground("dylib");
    let lay = |top: &Path| {
        package(
            &top.join("app"),
            "app",
            "\n[dependencies]\ndy = { path = \"../dy\" }\n\n[workspace]\n",
            "",
        );
        write(
            &top.join("app/src/main.rs"),
            "fn main() {\n    println!(\"{}\", dy::N);\n}\n",
        );
        package(
            &top.join("dy"),
            "dy",
            "\n[lib]\ncrate-type = [\"dylib\"]\n",
            "pub static N: i32 = 7;\npub fn n() -> i32 {\n    N\n}\n",
        );
    };
    let built = ground.pair(&Pair {
        cwd: "app",
        ..Pair::new(&lay, &["cargo", "build"])
    });
    assert_eq!(built.code, Some(0), "{}", built.stderr);
}
