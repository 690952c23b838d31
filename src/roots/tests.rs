use super::*;
use crate::config::Config;
use crate::scratch::Scratch;

/// A home directory with projects in it, and the roots a command finds there.
struct Home(Scratch);

impl Home {
    fn new() -> Home {
        Home(Scratch::new())
    }

    fn crate_at(&self, dir: &str, rest: &str) {
        let text = format!("[package]\nname = \"x\"\nversion = \"0.1.0\"\n{rest}");
        self.0.file(format!("{dir}/Cargo.toml"), text);
    }

    fn find_with(&self, cwd: &str, command: &str, vars: &[(&str, &str)]) -> Result<Project> {
        let argv: Vec<OsString> = command.split(' ').map(OsString::from).collect();
        let env = |name: &str| match vars.iter().find(|(n, _)| *n == name) {
            Some((_, value)) => Some(value.into()),
            None => (name == "HOME").then(|| self.0.0.clone().into()),
        };
        find(&self.0.dir(cwd), &argv, &env, &Config::default().transfer)
    }

    fn find(&self, cwd: &str, command: &str) -> Project {
        self.find_with(cwd, command, &[]).unwrap()
    }

    /// Roots relative to home; `=a,b` after those that sync only some files.
    fn roots(&self, project: &Project) -> Vec<String> {
        let text = |root: &Root| {
            let path = root
                .path
                .strip_prefix(&self.0.0)
                .unwrap_or(&root.path)
                .display();
            match &root.only {
                None => path.to_string(),
                Some(files) => {
                    let files: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
                    format!("{path}={}", files.join(","))
                }
            }
        };
        project.roots.iter().map(text).collect()
    }
}

#[test]
fn the_repository_is_the_project() {
    let home = Home::new();
    home.0.dir("app/.git");
    home.crate_at("app/sub", "");
    let project = home.find("app/sub/src", "cargo build");
    assert_eq!(home.roots(&project), ["app"]);
    assert_eq!(project.name, "app");
    assert_eq!(
        project.cargo.unwrap().target_dir,
        home.0.0.join("app/sub/target")
    );
    // A worktree and a submodule have a file of that name.
    home.0.file("tree/.git", "gitdir: /elsewhere");
    assert_eq!(home.roots(&home.find("tree/x", "make")), ["tree"]);
}

#[test]
fn without_a_repository_the_workspace_is() {
    let home = Home::new();
    home.0.file(
        "ws/Cargo.toml",
        "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/out\"]\n",
    );
    home.crate_at("ws/crates/a", "");
    home.crate_at("ws/crates/out", "");
    let project = home.find("ws/crates/a", "cargo test");
    assert_eq!(home.roots(&project), ["ws"]);
    assert_eq!(
        project.cargo.unwrap().target_dir,
        home.0.0.join("ws/target")
    );
    assert_eq!(
        home.roots(&home.find("ws/crates/out", "cargo test")),
        ["ws/crates/out"]
    );
    assert_eq!(home.roots(&home.find("plain", "make")), ["plain"]);
}

#[test]
fn what_manifests_point_to_comes_along() {
    let home = Home::new();
    home.0.dir("app/.git");
    home.0.dir("lib/.git");
    home.0.file(
        "app/Cargo.toml",
        "[workspace]\nmembers = [\"m/*\", \"../member\"]\n[workspace.dependencies]\ninh = { path = \"../inh\" }\n\
         [patch.crates-io]\np = { path = \"../patched\" }\n[replace]\n\"r:1.0.0\" = { path = \"../replaced\" }\n",
    );
    home.crate_at(
        "app/m/a",
        "[dependencies]\nlib = { path = \"../../../lib/deep/crate\" }\n[dependencies.inh]\nworkspace = true\n\
         [target.'cfg(unix)'.build-dependencies]\nt = { path = \"../../../t\" }\n",
    );
    home.crate_at(
        "lib/deep/crate",
        "[dependencies]\nfar = { path = \"../../../far\" }\n",
    );
    for name in [
        "inh",
        "patched",
        "replaced",
        "t",
        "far",
        "member",
        "unrelated",
    ] {
        home.crate_at(name, "");
    }
    let project = home.find("app/m/a", "cargo build");
    let mut roots = home.roots(&project);
    assert_eq!(roots.remove(0), "app");
    roots.sort();
    assert_eq!(
        roots,
        ["far", "inh", "lib", "member", "patched", "replaced", "t"]
    );
}

/// A dependency in another workspace inherits its own dependencies from there.
#[test]
fn a_dependency_brings_its_workspace() {
    let home = Home::new();
    home.crate_at("app", "[dependencies]\nb = { path = \"../other/b\" }\n");
    home.0.file(
        "other/Cargo.toml",
        "[workspace]\nmembers = [\"b\"]\n[workspace.dependencies]\nc = { path = \"../c\" }\n",
    );
    home.crate_at("other/b", "[dependencies]\nc.workspace = true\n");
    home.crate_at("c", "");
    let mut roots = home.roots(&home.find("app", "cargo build"));
    roots.sort();
    assert_eq!(roots, ["app", "c", "other"]);
}

#[test]
fn words_choose_the_manifest() {
    let home = Home::new();
    home.0.dir("here/.git");
    home.crate_at("there", "[lib]\npath = \"../shared/lib.rs\"\n");
    home.0.file("shared/lib.rs", "");
    for command in [
        "cargo build --manifest-path ../there/Cargo.toml",
        "cargo -C ../there build",
    ] {
        assert_eq!(
            home.roots(&home.find("here", command)),
            ["here", "shared", "there"],
            "{command}"
        );
    }
}

#[test]
fn settings_of_ancestors_come_along_and_say_where_products_go() {
    let home = Home::new();
    home.0.file(
        "w/.cargo/config.toml",
        "[build]\ntarget-dir = \"out\"\ntarget = [\"a\", \"b\"]\n",
    );
    home.0
        .file(".cargo/config.toml", "[build]\ntarget-dir = \"loses\"\n");
    home.0.dir("w/app/.git");
    home.crate_at("w/app", "");
    let project = home.find("w/app", "cargo build");
    assert_eq!(
        home.roots(&project),
        ["w/app", "w/.cargo=config.toml", "w/out="]
    );
    assert_eq!(project.cargo.unwrap().targets, ["a", "b"]);
    let target_of = |command, vars: &[_]| {
        home.find_with("w/app", command, vars)
            .unwrap()
            .cargo
            .unwrap()
            .target_dir
    };
    let vars = [("CARGO_TARGET_DIR", "v")];
    assert_eq!(target_of("cargo build", &vars), home.0.0.join("w/app/v"));
    assert_eq!(
        target_of("cargo build --target-dir=../f", &vars),
        home.0.0.join("w/f")
    );
    assert_eq!(
        target_of("cargo --config build.target-dir=\"c\" build", &[]),
        home.0.0.join("w/app/c")
    );
}

#[test]
fn a_target_directory_behind_a_link_gets_its_own_root() {
    let home = Home::new();
    home.0.dir("fast/target");
    home.crate_at("app", "");
    home.0.link("app/target", home.0.0.join("fast/target"));
    assert_eq!(
        home.roots(&home.find("app", "cargo build")),
        ["app", "fast/target="]
    );
}

#[test]
fn wide_roots_are_refused() {
    let home = Home::new();
    home.crate_at("app", "[dependencies]\nx = { path = \"..\" }\n");
    home.crate_at(".", "");
    let refused = |cwd| home.find_with(cwd, "cargo build", &[]).unwrap_err();
    assert!(refused(".").text().contains("home directory"));
    assert!(refused("app").text().contains("home directory"));
    // Dotfiles kept in git do not make the home directory a project.
    home.0.dir(".git");
    assert_eq!(home.roots(&home.find("plain", "make")), ["plain"]);
    let env = |_: &str| None;
    let config = Config::default().transfer;
    for wide in ["/", "/tmp", "/usr", "/home"] {
        assert!(
            find(Path::new(wide), &["make".into()], &env, &config).is_err(),
            "{wide}"
        );
    }
    assert!(find(Path::new("/usr/src"), &["make".into()], &env, &config).is_ok());
}

#[test]
fn a_target_directory_that_holds_the_sources_is_refused() {
    let home = Home::new();
    home.crate_at("app/inner", "");
    let vars = [("CARGO_TARGET_DIR", "..")];
    assert!(home.find_with("app/inner", "cargo build", &vars).is_err());
}

#[test]
fn other_tools_name_their_directories() {
    let home = Home::new();
    home.0.dir("a/.git");
    home.0.dir("b/.git");
    home.0.file("b/x.c", "");
    home.0.file(
        "build/CMakeCache.txt",
        format!("CMAKE_HOME_DIRECTORY:INTERNAL={}/b\n", home.0.0.display()),
    );
    assert_eq!(
        home.roots(&home.find("a", "gcc -I/usr/include ../b/x.c -o x")),
        ["a", "b"]
    );
    assert_eq!(home.roots(&home.find("a", "make -C ../b all")), ["a", "b"]);
    assert_eq!(
        home.roots(&home.find("a", "cmake --build ../build")),
        ["a", "b", "build"]
    );
    assert!(home.find_with("a", "gcc ../x.c", &[]).is_err());
}

/// A project that turns out to lie in a wider root is still the first.
#[test]
fn the_outer_root_takes_the_inner_ones_place() {
    let home = Home::new();
    home.0.dir("ws/app/.git");
    home.0
        .file("ws/Cargo.toml", "[workspace]\nmembers = [\"app\"]\n");
    home.crate_at("ws/app", "[dependencies]\nz = { path = \"../../z\" }\n");
    home.crate_at("z", "");
    let project = home.find("ws/app", "cargo build");
    assert_eq!(home.roots(&project), ["ws", "z"]);
    let name = project.locate(&home.0.0.join("ws/app/src/lib.rs")).unwrap();
    assert_eq!((name.root, name.path), (0, "app/src/lib.rs".into()));
}

#[test]
fn broken_manifests_are_cargos_business() {
    let home = Home::new();
    home.0.file("app/Cargo.toml", "not = [toml");
    home.0.file("app/.cargo/config.toml", "neither = [");
    assert_eq!(home.roots(&home.find("app", "cargo build")), ["app"]);
}

#[test]
fn links_out_of_the_project_are_followed() {
    let home = Home::new();
    home.0.dir("app/.git");
    home.0.file("shared/x/deep.rs", "");
    home.0.file("notes/todo.txt", "");
    home.0.file(".secret/token", "");
    home.0.link("app/in", "src");
    home.0.link("app/src/x", "../../shared/x");
    home.0.link("app/todo", home.0.0.join("notes/todo.txt"));
    home.0.link("app/again", "todo");
    home.0.link("app/system", "/usr/bin");
    home.0.link("app/nothing", "../nothing");
    home.0.link("app/hidden", "../.secret");
    home.0.link("app/home", "..");
    home.0.link("shared/x/back", "../../app/src");
    let mut project = home.find("app", "make");
    let config = Config::default().transfer;
    let (manifest, _) = crate::scan::tree(&mut project, &config, &home.0.0, 2).unwrap();
    assert_eq!(home.roots(&project), ["app", "notes=todo.txt", "shared/x"]);
    let files = ["app/src/x", "notes/todo.txt", "shared/x/deep.rs"];
    for file in files.map(|f| project.locate(&home.0.0.join(f)).unwrap()) {
        assert!(manifest.get(&file).is_some(), "{file:?}");
    }
}
