//! C and C++: make, ninja, cmake, and compilers called by hand.

use std::path::Path;

use crate::common::write;
use crate::pair::{Pair, ground};

fn sources(dir: &Path) {
    write(&dir.join("inc/h.h"), "int twice(int);\n");
    write(
        &dir.join("a.c"),
        "#include <stdio.h>\n#include \"h.h\"\nint main(void) { printf(\"%d %s\\n\", twice(21), __FILE__); return 0; }\n",
    );
    write(
        &dir.join("b.c"),
        "#include \"h.h\"\nint twice(int n) { return 2 * n; }\n",
    );
    write(
        &dir.join("c.cc"),
        "#include <iostream>\nint main() { std::cout << __FILE__ << std::endl; }\n",
    );
}

fn makefile(dir: &Path) {
    sources(dir);
    write(
        &dir.join("Makefile"),
        "CFLAGS = -g -Iinc -MMD\nprog: a.o b.o\n\t$(CC) -o $@ $^\nlib/libb.a: b.o\n\tmkdir -p lib\n\tar rcs $@ $^\n\tln -sf libb.a lib/libb.so.1\n-include *.d\nall: prog lib/libb.a\n",
    );
    write(
        &dir.join("sub/Makefile"),
        "all: ../b.o\n\tcp $< copy.o\n\tchmod 640 copy.o\n../b.o:\n\t$(MAKE) -C .. b.o\n",
    );
}

#[test]
fn make_in_every_manner() {
    let mut ground = ground("make");
    ground.pair(&Pair::new(&makefile, &["make"]));
    ground.pair(&Pair::new(&makefile, &["make", "all"]));
    ground.pair(&Pair::new(&makefile, &["make", "-j", "4", "-s", "all"]));
    ground.pair(&Pair::new(&makefile, &["make", "-C", "sub"]));
    // What lies above the directory of the call is the project's if it is one repository.
    let repository = |dir: &Path| {
        makefile(dir);
        write(&dir.join(".git/HEAD"), "ref: refs/heads/main\n");
    };
    ground.pair(&Pair {
        cwd: "sub",
        ..Pair::new(&repository, &["make", "CFLAGS=-O2 -I../inc -Iinc"])
    });
    let broken = |dir: &Path| {
        makefile(dir);
        write(&dir.join("b.c"), "int twice(int n) { return 2 * m; }\n");
    };
    let failed = ground.pair(&Pair::new(&broken, &["make"]));
    assert_eq!(failed.code, Some(2));
    ground.pair(&Pair {
        merged: true,
        ..Pair::new(&broken, &["make", "-k", "all"])
    });
    ground.pair(&Pair::new(&makefile, &["make", "nothing"]));
    // Half done before: only the rest is made.
    let done = ground.pair(&Pair {
        before: &["make", "a.o"],
        ..Pair::new(&makefile, &["make"])
    });
    assert!(!done.stdout.contains("a.c"), "{}", done.stdout);
}

#[test]
fn compilers_by_hand() {
    let mut ground = ground("cc");
    for argv in [
        &["gcc", "-Iinc", "-o", "prog", "a.c", "b.c"][..],
        &["gcc", "-g", "-Iinc", "-c", "a.c", "b.c"],
        &["gcc", "-Iinc", "-shared", "-fPIC", "-o", "libb.so", "b.c"],
        &["cc", "-Iinc", "a.c", "b.c"],
        &[
            "cc", "-Iinc", "-MMD", "-MF", "dep.d", "-c", "a.c", "-o", "sub.o",
        ],
        &["g++", "-O2", "c.cc", "-o", "c++"],
        &["gcc", "-Wall", "-Wextra", "-c", "a.c"],
        &["gcc", "-Iinc", "-S", "b.c"],
    ] {
        ground.pair(&Pair::new(&sources, argv));
    }
    // Headers outside the directory of the call.
    let outside = |dir: &Path| sources(&dir.join("x"));
    ground.pair(&Pair {
        cwd: "y",
        ..Pair::new(&outside, &["gcc", "-I../x/inc", "-c", "../x/a.c"])
    });
}

const NINJA: &str = "rule cc\n  command = cc -g -Iinc -MMD -MF $out.d -c $in -o $out\n  depfile = $out.d\n  deps = gcc\n  description = CC $out\nrule link\n  command = cc $in -o $out\nbuild obj/a.o: cc a.c\nbuild obj/b.o: cc b.c\nbuild prog: link obj/a.o obj/b.o\ndefault prog\n";

fn ninja(dir: &Path) {
    sources(dir);
    write(&dir.join("build.ninja"), NINJA);
}

fn cmake(dir: &Path) {
    sources(dir);
    write(
        &dir.join("CMakeLists.txt"),
        "cmake_minimum_required(VERSION 3.16)\nproject(small C)\ninclude_directories(inc)\nadd_library(b SHARED b.c)\nadd_executable(prog a.c)\ntarget_link_libraries(prog b)\nadd_test(NAME prog COMMAND prog)\n",
    );
}

/// The logs of ninja and of cmake's configuring differ between any two runs.
fn no_log(pair: &mut crate::pair::Pair<'_>) {
    pair.ignore = &[".ninja_log", ".ninja_deps", "CMakeOutput.log"];
}

#[test]
fn ninja_and_cmake() {
    let mut ground = ground("ninja");
    for argv in [&["ninja", "-j1"][..], &["ninja", "-v", "-j1", "prog"]] {
        let mut pair = Pair::new(&ninja, argv);
        no_log(&mut pair);
        ground.pair(&pair);
    }
    let below = |dir: &Path| ninja(&dir.join("deep"));
    let mut pair = Pair::new(&below, &["ninja", "-C", "deep", "-j1"]);
    no_log(&mut pair);
    ground.pair(&pair);
    for generator in ["Ninja", "Unix Makefiles"] {
        let configure = ["cmake", "-S", ".", "-B", "build", "-G", generator];
        let mut pair = Pair::new(&cmake, &["cmake", "--build", "build", "-j1"]);
        pair.before = &configure;
        no_log(&mut pair);
        let built = ground.pair(&pair);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        assert!(built.files.contains_key(Path::new("build/prog")));
    }
}
