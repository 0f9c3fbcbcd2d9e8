//! What the broker's console calls us: role, machine and version.

use crate::domain::Hostname;

/// A process of a machine that has a name of its own.
#[must_use]
pub fn of(role: &str, machine: &Hostname) -> String {
    format!("{role} {machine} {}", env!("CARGO_PKG_VERSION"))
}

/// This process on this host. Several of a host are told apart by their process ids.
#[must_use]
pub fn here(role: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{role} {host} {} pid {}", env!("CARGO_PKG_VERSION"), std::process::id())
}
