//! A project that changes, in two places: `far` is built through rch, `near` by the tool itself.
//!
//! What its program says depends on every source, and on nothing else: neither on what was built
//! before nor on the order of edits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::write;
use crate::kit::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Cargo,
    Make,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It compiles, and its test fails.
    Fails,
    Broken,
}

#[derive(Debug, Clone, Copy)]
struct Module {
    value: u32,
    health: Health,
}

pub struct Project {
    pub tool: Tool,
    pub far: PathBuf,
    pub near: PathBuf,
    modules: BTreeMap<u32, Module>,
    /// No name comes twice: an object of the first one would pass for the second one's.
    next: u32,
}

const CARGO: &str =
    "[package]\nname = \"prog\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n";
const MAIN: &str = "mod list;\n\nfn main() {\n    println!(\"{}\", list::sum());\n}\n";
const MAKEFILE: &str = "OBJECTS = $(patsubst %.c,%.o,$(sort $(wildcard m*.c)))
prog: $(OBJECTS) main.o
\t@cc -o $@ $^
%.o: %.c
\t@cc -DNAME=$* -c -o $@ $<
check: prog
\t@./prog
";

impl Project {
    pub fn new(dir: &Path, number: u64, tool: Tool) -> Project {
        let mut project = Project {
            tool,
            far: dir.join(format!("far-{number}")),
            near: dir.join(format!("near-{number}")),
            modules: BTreeMap::new(),
            next: 0,
        };
        project.both(|dir| match tool {
            Tool::Cargo => {
                write(&dir.join("Cargo.toml"), CARGO);
                write(&dir.join("src/main.rs"), MAIN);
            }
            Tool::Make => write(&dir.join("Makefile"), MAKEFILE),
        });
        (0..3).for_each(|n| project.create(n));
        project
    }

    fn both(&self, act: impl Fn(&Path)) {
        [&self.far, &self.near].into_iter().for_each(|dir| act(dir));
    }

    fn name(&self, n: u32) -> String {
        match self.tool {
            Tool::Cargo => format!("src/m{n}.rs"),
            Tool::Make => format!("m{n}.c"),
        }
    }

    /// The program that is built.
    pub fn program(&self, dir: &Path) -> PathBuf {
        match self.tool {
            Tool::Cargo => dir.join("target/debug/prog"),
            Tool::Make => dir.join("prog"),
        }
    }

    /// A command, and whether it makes the program.
    pub fn command(&self, random: &mut Random) -> (&'static [&'static str], bool) {
        match (self.tool, random.below(5)) {
            (Tool::Cargo, 0 | 1) => (&["cargo", "build"], true),
            (Tool::Cargo, 2) => (&["cargo", "check"], false),
            (Tool::Cargo, _) => (&["cargo", "test"], false),
            (Tool::Make, 0 | 1) => (&["make", "-s"], true),
            (Tool::Make, _) => (&["make", "-s", "check"], true),
        }
    }

    /// Changes something; answers what it was.
    pub fn edit(&mut self, random: &mut Random) -> String {
        let mut all: Vec<u32> = self.modules.keys().copied().collect();
        let chosen = all.swap_remove(random.below(all.len()));
        let ill = self.modules.iter().find(|(_, m)| m.health != Health::Well);
        match (ill.map(|(n, _)| *n), random.below(10)) {
            (Some(ill), 0..6) => self.set(ill, Health::Well, random),
            (None, 0) => self.set(chosen, Health::Broken, random),
            (None, 1) => self.set(chosen, Health::Fails, random),
            (_, 6) => {
                self.create(random.below(1000) as u32);
                "create".into()
            }
            (_, 7) if self.modules.len() > 2 => self.remove(chosen),
            (_, 8) => self.rename(chosen),
            _ => {
                let health = self.modules[&chosen].health;
                self.set(chosen, health, random)
            }
        }
    }

    fn create(&mut self, value: u32) {
        let module = Module {
            value,
            health: Health::Well,
        };
        self.modules.insert(self.next, module);
        self.write(self.next);
        self.next += 1;
        self.list();
    }

    fn set(&mut self, n: u32, health: Health, random: &mut Random) -> String {
        let value = random.below(1000) as u32;
        self.modules.insert(n, Module { value, health });
        self.write(n);
        format!("m{n} is {health:?} with {value}")
    }

    fn remove(&mut self, n: u32) -> String {
        self.modules.remove(&n);
        self.both(|dir| std::fs::remove_file(dir.join(self.name(n))).unwrap());
        self.list();
        format!("m{n} goes")
    }

    fn rename(&mut self, n: u32) -> String {
        let module = self.modules.remove(&n).unwrap();
        self.modules.insert(self.next, module);
        let (old, new) = (self.name(n), self.name(self.next));
        self.both(|dir| std::fs::rename(dir.join(&old), dir.join(&new)).unwrap());
        self.next += 1;
        self.list();
        format!("{old} becomes {new}")
    }

    fn write(&self, n: u32) {
        let Module { value, health } = self.modules[&n];
        let text = match (self.tool, health) {
            (Tool::Cargo, Health::Broken) => format!("pub const VALUE: u32 = \"{value}\";\n"),
            (Tool::Cargo, health) => {
                let wanted = value + u32::from(health == Health::Fails);
                format!(
                    "pub const VALUE: u32 = {value};\n\n#[test]\nfn holds() {{\n    assert_eq!(VALUE, {wanted});\n}}\n"
                )
            }
            (Tool::Make, Health::Broken) => format!("int NAME(void) {{ return {value}x; }}\n"),
            (Tool::Make, Health::Fails) => format!("int NAME(void) {{ return -1 - {value}; }}\n"),
            (Tool::Make, Health::Well) => format!("int NAME(void) {{ return {value}; }}\n"),
        };
        self.both(|dir| write(&dir.join(self.name(n)), &text));
    }

    /// Writes what names all modules.
    fn list(&self) {
        let each = |text: &dyn Fn(u32) -> String| -> String {
            self.modules.keys().map(|n| text(*n)).collect()
        };
        match self.tool {
            Tool::Cargo => {
                let mods = each(&|n| format!("#[path = \"m{n}.rs\"]\nmod m{n};\n"));
                let sum = each(&|n| format!(" + m{n}::VALUE"));
                let text = format!("{mods}\npub fn sum() -> u32 {{\n    0{sum}\n}}\n");
                self.both(|dir| write(&dir.join("src/list.rs"), &text));
            }
            Tool::Make => {
                let heads = each(&|n| format!("int m{n}(void);\n"));
                let calls = each(&|n| format!("  if (m{n}() < 0) bad = 1; else sum += m{n}();\n"));
                let text = format!(
                    "#include <stdio.h>\n{heads}int main(void) {{\n  int sum = 0, bad = 0;\n{calls}  printf(\"%d\\n\", sum);\n  return bad;\n}}\n"
                );
                self.both(|dir| write(&dir.join("main.c"), &text));
            }
        }
    }

    /// What `make` makes goes. Where it was killed here half a file may stand, which looks done to it;
    /// the same is so without rch.
    pub fn clean(&self) {
        self.both(|dir| {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|e| e == "o") || path.ends_with("prog") {
                    std::fs::remove_file(path).unwrap();
                }
            }
        });
    }
}
