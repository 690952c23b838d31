//! bun's tests, with packages that the worker installs for itself and with none.
//!
//! Packages come from the project's own directories and a tarball, so that no registry is needed.

use std::path::Path;
use std::process::Command;

use crate::common::write;
use crate::pair::{Keep, Pair, ground};

/// One test that passes and one that fails if asked to.
fn plain(dir: &Path) {
    write(&dir.join("package.json"), "{ \"name\": \"plain\" }\n");
    write(
        &dir.join("sum.ts"),
        "export const sum = (a: number, b: number) => a + b;\nexport const never = () => {\n  return 1;\n};\n",
    );
    write(
        &dir.join("sum.test.ts"),
        r#"import { expect, test } from "bun:test";
import { sum } from "./sum";

test("adds", () => {
  expect(sum(1, 2)).toBe(3);
});

test("fails if asked", () => {
  console.log("in", import.meta.dir);
  expect(sum(1, 2)).toBe(process.env.FAIL ? 4 : 3);
});
"#,
    );
}

fn snapshot(dir: &Path) {
    plain(dir);
    write(
        &dir.join("shot.test.ts"),
        "import { expect, test } from \"bun:test\";\ntest(\"shot\", () => {\n  expect({ a: 1 }).toMatchSnapshot();\n});\n",
    );
}

#[test]
fn tests_pass_and_fail_as_here() {
    let mut ground = ground("bun");
    let tree = |argv| Pair {
        keep: Keep::Tree,
        ..Pair::new(&plain, argv)
    };
    let passed = ground.pair(&tree(&["bun", "test"]));
    assert!(passed.stderr.contains("2 pass"), "{}", passed.stderr);
    let failed = ground.pair(&Pair {
        env: &[("FAIL", "1")],
        ..tree(&["bun", "test"])
    });
    assert_eq!(failed.code, Some(1));
    ground.pair(&tree(&["bun", "test", "-t", "adds", "--bail"]));
    // In the words that it has for agents.
    ground.pair(&Pair {
        env: &[("CLAUDECODE", "1")],
        merged: true,
        ..tree(&["bun", "test"])
    });
    let missing = |dir: &Path| {
        plain(dir);
        write(&dir.join("gone.test.ts"), "import \"./nowhere\";\n");
    };
    assert_eq!(
        ground.pair(&Pair::new(&missing, &["bun", "test"])).code,
        Some(1)
    );
    let checked = |dir: &Path| {
        plain(dir);
        write(
            &dir.join("package.json"),
            "{ \"scripts\": { \"typecheck\": \"bun ./check.ts\" } }\n",
        );
        write(
            &dir.join("check.ts"),
            "console.log(\"checked\");\nprocess.exit(3);\n",
        );
    };
    assert_eq!(
        ground
            .pair(&Pair::new(&checked, &["bun", "typecheck"]))
            .code,
        Some(3)
    );
}

#[test]
fn what_tests_write_comes_home() {
    let mut ground = ground("bunwrites");
    let shot = Path::new("__snapshots__/shot.test.ts.snap");
    let first = ground.pair(&Pair::new(&snapshot, &["bun", "test"]));
    assert!(first.files.contains_key(shot));
    // One that was there before and that bun writes again, with another in it.
    let more = |dir: &Path| {
        snapshot(dir);
        write(
            &dir.join(shot),
            "// Bun Snapshot v1, https://bun.sh/docs/test/snapshots\n\nexports[`other 1`] = `1`;\n",
        );
    };
    let grown = ground.pair(&Pair::new(&more, &["bun", "test"]));
    let text = String::from_utf8_lossy(&grown.files[shot].1).into_owned();
    assert!(text.contains("exports[`shot 1`]"), "{text}");
    let old = |dir: &Path| {
        plain(dir);
        write(&dir.join("reports/junit.xml"), "old\n");
    };
    let report = [
        "bun",
        "test",
        "--coverage",
        "--coverage-reporter=lcov",
        "--reporter=junit",
        "--reporter-outfile=reports/junit.xml",
    ];
    let covered = ground.pair(&Pair {
        ignore: &["junit.xml"],
        ..Pair::new(&old, &report)
    });
    let lines = &covered.files[Path::new("coverage/lcov.info")].1;
    assert!(
        lines.starts_with(b"TN:"),
        "{}",
        String::from_utf8_lossy(lines)
    );
}

fn workspace(dir: &Path) {
    write(
        &dir.join("package.json"),
        r#"{ "name": "whole", "private": true, "workspaces": ["packages/*"], "dependencies": { "packed": "file:./packed.tgz" } }"#,
    );
    let member = |name: &str, dependencies: &str| {
        let text = format!(
            r#"{{ "name": "{name}", "version": "1.0.0", "main": "index.ts", "dependencies": {dependencies} }}"#
        );
        write(&dir.join(format!("packages/{name}/package.json")), &text);
    };
    member(
        "one",
        r#"{ "two": "workspace:*", "packed": "file:../../packed.tgz" }"#,
    );
    member("two", "{}");
    write(
        &dir.join("packages/two/index.ts"),
        "export const two = 2;\n",
    );
    write(
        &dir.join("packages/one/one.test.ts"),
        "import { expect, test } from \"bun:test\";\nimport { two } from \"two\";\nimport { n } from \"packed\";\ntest(\"sum\", () => {\n  console.log(Bun.resolveSync(\"packed\", import.meta.dir));\n  expect(two + n).toBe(9);\n});\n",
    );
    let package = dir.join("packed.src/package");
    write(
        &package.join("package.json"),
        r#"{ "name": "packed", "version": "7.0.0", "main": "index.js" }"#,
    );
    write(&package.join("index.js"), "exports.n = 7;\n");
    let done = Command::new("tar")
        .args([
            "--mtime=2020-01-01",
            "--owner=0",
            "--group=0",
            "-czf",
            "packed.tgz",
            "-C",
            "packed.src",
            "package",
        ])
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(done.success());
    std::fs::remove_dir_all(dir.join("packed.src")).unwrap();
}

#[test]
fn packages_are_those_of_the_lockfile() {
    let mut ground = ground("bunmodules");
    let installed = |argv, cwd| Pair {
        before: &["bun", "install"],
        cwd,
        ..Pair::new(&workspace, argv)
    };
    let tested = ground.pair(&installed(&["bun", "test"], ""));
    assert!(tested.stderr.contains("1 pass"), "{}", tested.stderr);
    ground.pair(&installed(&["bun", "test", "one"], "packages/one"));
    let hoisted = ["bun", "install", "--linker", "hoisted"];
    ground.pair(&Pair {
        before: &hoisted,
        ..installed(&["bun", "test"], "")
    });
}
