//! Which kind of processor this is, as the kernel tells (proc(5), `/proc/cpuinfo`).

use xxhash_rust::xxh3::xxh3_64;

/// Equal on machines whose processors have one model and the same abilities. Empty if the kernel does
/// not say.
pub fn kind() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let telling = [
        "vendor_id",
        "cpu family",
        "model",
        "flags",
        "Features",
        "CPU part",
    ];
    let lines: Vec<&str> = first
        .lines()
        .filter(|l| telling.iter().any(|t| l.split('\t').next() == Some(*t)))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("{:016x}", xxh3_64(lines.join("\n").as_bytes()))
}
