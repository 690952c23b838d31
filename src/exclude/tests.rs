use super::*;
use crate::config::Config;
use crate::roots::Root;

fn project(root: &Path) -> Project {
    Project {
        name: "p".into(),
        roots: vec![Root::whole(root.into())],
        cargo_home: "/nowhere".into(),
        needs: Default::default(),
        cargo_config: None,
        cargo: None,
        sends_packages: false,
    }
}

fn rules(root: &Path, exclude: &[&str], include: &[&str]) -> Rules {
    let mut config = Config::default().transfer;
    config.exclude_patterns = exclude.iter().map(ToString::to_string).collect();
    config.include_patterns = include.iter().map(ToString::to_string).collect();
    Rules::new(&project(root), &config).unwrap()
}

fn judge(rules: &Rules, path: &str) -> Verdict {
    let (path, is_dir) = match path.strip_suffix('/') {
        Some(dir) => (dir, true),
        None => (path, false),
    };
    rules.judge(0, Path::new(path), is_dir, &|| "/nowhere".into())
}

#[test]
fn secrets_stay_by_name() {
    let rules = rules(Path::new("/nowhere"), &[], &[]);
    for secret in [
        ".env",
        "a/.env",
        ".env.local",
        "k.pem",
        "a/tls.key",
        "id_rsa",
        "x/id_ed25519",
        ".netrc",
        ".pgpass",
        ".aws/credentials",
        "cert.p12",
        ".cargo/credentials",
        "a/.cargo/credentials.toml",
        ".git-credentials",
    ] {
        assert_eq!(judge(&rules, secret), Verdict::Skip, "{secret}");
    }
    for plain in [
        ".env.example",
        "env",
        "id_map.rs",
        "src/id_gen",
        "credentials.toml",
        "src/key.rs",
        "monkey",
        ".envrc",
        "id_rsa.pub",
        ".npmrc",
        ".git/config",
        "keys/",
        "x.pem.rs",
    ] {
        assert_eq!(judge(&rules, plain), Verdict::Take, "{plain}");
    }
}

#[test]
fn build_products_and_object_stores_stay() {
    let rules = rules(Path::new("/nowhere"), &[], &[]);
    for left in [
        "liba.rlib",
        "x/liba.rmeta",
        "node_modules/",
        "web/node_modules/",
        ".git/objects/",
        "sub/.git/objects/",
        ".git/modules/a/objects/",
        ".git/lfs/objects/",
        ".rch-tmp-1-2",
    ] {
        assert_eq!(judge(&rules, left), Verdict::Skip, "{left}");
    }
    for taken in [
        "target/",
        "build/",
        "objects/",
        ".git/refs/heads/objects/",
        ".git/HEAD",
        "node_modules",
    ] {
        assert_eq!(judge(&rules, taken), Verdict::Take, "{taken}");
    }
}

#[test]
fn patterns_read_as_in_gitignore() {
    let rules = rules(
        Path::new("/nowhere"),
        &[
            "*.log",
            "data/",
            "/top",
            "a/*/c",
            "deep/**/x",
            " !odd ",
            "[ab].txt",
            "",
        ],
        &[],
    );
    for left in [
        "x.log",
        "s/x.log",
        "data/",
        "s/data/",
        "top",
        "a/b/c",
        "deep/1/2/x",
        "!odd",
        "a.txt",
    ] {
        assert_eq!(judge(&rules, left), Verdict::Skip, "{left}");
    }
    for taken in [
        "data", "s/top", "a/b/b/c", "z/a/b/c", "odd", "c.txt", "x.logs",
    ] {
        assert_eq!(judge(&rules, taken), Verdict::Take, "{taken}");
    }
}

#[test]
fn includes_win_and_reach_where_they_point() {
    let rules = rules(
        Path::new("/nowhere"),
        &["gen/"],
        &["tests/*.pem", ".env.test", "gen/keep/*.bin", "*.rlib"],
    );
    assert_eq!(judge(&rules, "tests/a.pem"), Verdict::Forced);
    assert_eq!(judge(&rules, "x/.env.test"), Verdict::Forced);
    assert_eq!(judge(&rules, "x.rlib"), Verdict::Forced);
    assert_eq!(judge(&rules, "b.pem"), Verdict::Skip);
    assert_eq!(judge(&rules, "gen/"), Verdict::OnlyIncluded);
    assert_eq!(judge(&rules, "node_modules/"), Verdict::Skip);
    assert!(rules.reaches_into(0, Path::new("gen/keep")));
    assert!(!rules.reaches_into(0, Path::new("gen/other")));
}

#[test]
fn odd_names_are_matched_as_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let rules = rules(Path::new("/nowhere"), &["*.tmp"], &[]);
    let judge = |bytes| {
        let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
        rules.judge(0, path, false, &|| "/nowhere".into())
    };
    assert_eq!(judge(b"\xff\n.tmp"), Verdict::Skip);
    assert_eq!(judge(b"\xff\n.tmq"), Verdict::Take);
}
