//! Odd names, links and modes: what the worker sees must be what is there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::common::write;
use crate::pair::{Pair, ground};

fn odd(dir: &Path) {
    let name = |bytes: &[u8]| dir.join("names").join(OsStr::from_bytes(bytes));
    for bytes in [
        &b"a\nb"[..],
        b"#lead",
        b";lead",
        b"\xff\xfe",
        b" blank ",
        b"-n",
        b"*",
        b"back\\slash",
        "gr\u{fc}n".as_bytes(),
    ] {
        std::fs::create_dir_all(dir.join("names")).unwrap();
        std::fs::write(name(bytes), bytes).unwrap();
    }
    std::fs::create_dir_all(dir.join("empty/inside")).unwrap();
    for (link, target) in [
        ("to-file", "names/#lead"),
        ("to-dir", "names"),
        ("to-nothing", "nowhere"),
        ("round", "round"),
        ("up", "../"),
    ] {
        symlink(target, dir.join(link)).unwrap();
    }
    for (file, mode) in [("script", 0o755), ("plain", 0o640), ("fixed", 0o444)] {
        write(&dir.join(file), "#!/bin/sh\necho run\n");
        std::fs::set_permissions(dir.join(file), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    write(
        &dir.join("Makefile"),
        "export LC_ALL = C\nall:\n\t@find . ! -name listing -printf '%y %m %p %l\\0' | sort -z > listing\n\t@find names -type f -print0 | sort -z | xargs -0 md5sum > sums\n\t@./script\n\t@cp -a names made\n\t@cp -a to-file made/link-a\n",
    );
}

#[test]
fn odd_names_links_and_modes() {
    let mut ground = ground("odd");
    let seen = ground.pair(&Pair::new(&odd, &["make"]));
    assert_eq!(seen.stdout, "run");
}

/// A crate whose sources are links and whose data has no name in any alphabet.
#[test]
fn a_crate_of_links() {
    let mut ground = ground("links");
    let lay = |top: &Path| {
        let dir = top.join("proj");
        write(
            &dir.join("Cargo.toml"),
            "[package]\nname = \"linked\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
        );
        write(&dir.join("real/part.rs"), "pub const N: u8 = 3;\n");
        write(&top.join("outside/text.txt"), "from outside\n");
        write(
            &dir.join("src/main.rs"),
            "mod part;\nfn main() {\n    println!(\"{} {} {}\", part::N, include_str!(\"../data/a\\nb\"), include_str!(\"../ext/text.txt\"));\n}\n",
        );
        symlink("../real/part.rs", dir.join("src/part.rs")).unwrap();
        symlink("../outside", dir.join("ext")).unwrap();
        write(&dir.join("data/a\nb"), "odd");
    };
    let built = ground.pair(&Pair {
        cwd: "proj",
        ..Pair::new(&lay, &["cargo", "build"])
    });
    assert_eq!(built.code, Some(0), "{}", built.stderr);
}
