//! Gives what libFuzzer makes up to the target that `TARGET` names: one program for all of them, built once.

#![no_main]

use std::sync::LazyLock;

use code_imports::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let names = TARGETS.map(|(name, _)| name).join(", ");
    let found = TARGETS.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("TARGET is {wanted:?}; it is one of {names}")).1
});

fuzz_target!(|data: &[u8]| TARGET(data));
