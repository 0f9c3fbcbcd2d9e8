//! Refs move in transactions, each with the old value of every ref it touches.

use super::command::{Call, Git};
use super::refs::Oid;
use crate::worker::importer::failure::Step;
use crate::worker::importer::process::Output;
use crate::worker::importer::target::TargetLock;

/// The input of `git update-ref --stdin`: all of it happens, or nothing.
#[derive(Debug)]
pub(super) struct Transaction {
    input: Vec<u8>,
}

impl Transaction {
    pub(super) fn new() -> Self {
        Self { input: b"start\n".to_vec() }
    }

    /// The ref must not be there.
    pub(super) fn create(&mut self, name: &[u8], new: &Oid) {
        self.add("create", name, &[new]);
    }

    pub(super) fn update(&mut self, name: &[u8], old: &Oid, new: &Oid) {
        self.add("update", name, &[new, old]);
    }

    pub(super) fn delete(&mut self, name: &[u8], old: &Oid) {
        self.add("delete", name, &[old]);
    }

    /// Nothing happens unless the ref has this value; and nobody moves it meanwhile.
    pub(super) fn verify(&mut self, name: &[u8], value: &Oid) {
        self.add("verify", name, &[value]);
    }

    /// Applies it. The lock is held by `git` itself, too: see [`TargetLock::holder`].
    pub(super) async fn apply(mut self, git: &Git<'_>, lock: &TargetLock) -> Step<Output> {
        self.input.extend(b"prepare\ncommit\n");
        let call = Call::new(&["update-ref", "--stdin"]);
        git.try_run(call.stdin(self.input).stdout(lock.holder()?)).await
    }

    fn add(&mut self, verb: &str, name: &[u8], values: &[&Oid]) {
        self.input.extend(verb.as_bytes());
        self.input.push(b' ');
        self.input.extend(name);
        for value in values {
            self.input.push(b' ');
            self.input.extend(value.as_str().as_bytes());
        }
        self.input.push(b'\n');
    }
}
