//! Any text as a configuration file, a variable or a glob: read without panic, every complaint in its
//! grammar, and a glob that is one can be matched.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rch::config::keys::{KEYS, Scope};
use rch::config::vars::VARS;
use rch::config::{file, glob, workers};

fuzz_target!(|text: &str| {
    let path = Path::new("/c.toml");
    for scope in [Scope::UserOnly, Scope::Anywhere] {
        let (settings, complaints) = file::read(path, text, scope);
        for complaint in complaints {
            assert!(complaint.place().is_some(), "{complaint:?}");
            assert!(!complaint.bare().is_empty());
        }
        // What was taken is what would be written.
        for setting in settings {
            let item = setting.value.toml().into();
            assert_eq!(setting.key.kind.read(&item).as_ref(), Ok(&setting.value));
        }
    }
    let _ = workers::parse(path, text);
    for key in KEYS {
        let _ = key.kind.parse(text);
    }
    for var in VARS {
        let _ = var.fault(text);
    }
    assert_eq!(glob::split(text).join(","), text);
    let _ = glob::fault(text);
});
