//! Refs: what a remote has, what we hold, and what turns the one into the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The name of a branch or a tag without `refs/`, such as `heads/main`. It need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RefName(Vec<u8>);

/// An object id in hexadecimal: 40 digits for SHA-1, 64 for SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Oid(String);

/// Branches and tags with what they point to.
pub(super) type Refs = BTreeMap<RefName, Oid>;

impl RefName {
    /// The branch or tag of this full name, if it is one that Git lets us create.
    pub(super) fn of(full_name: &[u8]) -> Option<Self> {
        let name = full_name.strip_prefix(b"refs/")?;
        (is_branch_or_tag(full_name) && is_well_formed(name)).then(|| Self(name.to_owned()))
    }

    /// `heads/main`.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The full name below `prefix`: `refs/` for the ref itself.
    pub(super) fn below(&self, prefix: &str) -> Vec<u8> {
        [prefix.as_bytes(), &self.0].concat()
    }

    pub(super) fn is_branch(&self) -> bool {
        self.0.starts_with(b"heads/")
    }

    /// The names that would be directories if this one was a file.
    fn directories(&self) -> impl Iterator<Item = RefName> {
        let slashes = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        slashes.filter_map(|(index, _)| Some(Self(self.0.get(..index)?.to_owned())))
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

fn is_branch_or_tag(full_name: &[u8]) -> bool {
    full_name.starts_with(b"refs/heads/") || full_name.starts_with(b"refs/tags/")
}

/// The rules of `git check-ref-format`. A remote may show any name, and one bad one must not stop the rest.
fn is_well_formed(name: &[u8]) -> bool {
    let is_bad_byte = |byte: &u8| *byte <= b' ' || *byte == 0x7f || b"~^:?*[\\".contains(byte);
    let is_bad_part = |part: &[u8]| part.is_empty() || part.starts_with(b".") || part.ends_with(b".lock");
    let has = |pair: &[u8]| name.windows(2).any(|window| window == pair);
    !name.iter().any(is_bad_byte)
        && !name.split(|byte| *byte == b'/').any(is_bad_part)
        && !has(b"..")
        && !has(b"@{")
        && !name.ends_with(b".")
}

impl Oid {
    /// The id that these bytes write.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let is_oid = [40, 64].contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_hexdigit);
        let text = String::from_utf8(bytes.to_owned()).ok()?;
        is_oid.then_some(Self(text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What `--object-format` calls ids like this.
    pub(super) fn format(&self) -> &'static str {
        if self.0.len() == 40 { "sha1" } else { "sha256" }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a remote shows: its branches and tags, and its HEAD.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advertised {
    pub(super) refs: Refs,
    /// The branch that HEAD stands for, where the protocol tells.
    head_branch: Option<RefName>,
    /// What HEAD points to.
    head: Option<Oid>,
    /// Branches and tags whose names Git does not take; they are left out.
    pub(super) left_out: Vec<String>,
}

impl Advertised {
    /// Reads the output of `git ls-remote --symref`.
    pub(super) fn of(output: &[u8]) -> Self {
        let mut advertised = Self::default();
        for line in output.split(|byte| *byte == b'\n') {
            if let Some((value, name)) = split_at_first(line, b'\t') {
                advertised.add(value, name);
            }
        }
        advertised
    }

    fn add(&mut self, value: &[u8], name: &[u8]) {
        if let Some(branch) = value.strip_prefix(b"ref: ") {
            if name == b"HEAD" {
                self.head_branch = RefName::of(branch);
            }
            return;
        }
        let Some(oid) = Oid::of(value) else { return };
        if name == b"HEAD" {
            self.head = Some(oid);
        } else if let Some(name) = RefName::of(name) {
            self.refs.insert(name, oid);
        } else if is_branch_or_tag(name) && !name.ends_with(b"^{}") {
            self.left_out.push(String::from_utf8_lossy(name).into_owned());
        }
    }

    /// The branch that the target's HEAD is to stand for, if it is to change.
    ///
    /// Dumb HTTP tells only what HEAD points to; then a branch is chosen as `git clone` does, but one that
    /// was chosen before is kept while it is there.
    pub(super) fn new_head(&self, wanted: &Refs, current: Option<&RefName>) -> Option<RefName> {
        let told = self.head_branch.as_ref().filter(|branch| wanted.contains_key(branch));
        let kept = current.filter(|branch| wanted.contains_key(branch));
        let chosen = told.or(kept).or_else(|| self.guess_head(wanted))?;
        (Some(chosen) != current).then(|| chosen.clone())
    }

    fn guess_head<'a>(&self, wanted: &'a Refs) -> Option<&'a RefName> {
        let is_head = |(name, oid): &(&RefName, &Oid)| name.is_branch() && Some(*oid) == self.head.as_ref();
        let rank = |(name, _): &(&RefName, &Oid)| match name.as_bytes() {
            b"heads/main" => 0,
            b"heads/master" => 1,
            _ => 2,
        };
        wanted.iter().filter(is_head).min_by_key(rank).map(|(name, _)| name)
    }
}

/// The parts before and after the first `separator`.
pub(super) fn split_at_first(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let index = line.iter().position(|byte| *byte == separator)?;
    let (before, after) = line.split_at_checked(index)?;
    Some((before, after.get(1..)?))
}

/// What turns the refs that we hold into those that are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// With what it is to point to.
    pub(super) created: Vec<(RefName, Oid)>,
    /// With what it points to, and what it is to point to.
    pub(super) updated: Vec<(RefName, Oid, Oid)>,
    /// With what it points to.
    pub(super) deleted: Vec<(RefName, Oid)>,
}

impl Changes {
    pub(super) fn between(held: &Refs, wanted: &Refs) -> Self {
        let mut changes = Self::default();
        for (name, new) in wanted {
            match held.get(name) {
                None => changes.created.push((name.clone(), new.clone())),
                Some(old) if old != new => changes.updated.push((name.clone(), old.clone(), new.clone())),
                Some(_) => {}
            }
        }
        let is_gone = |(name, _): &(&RefName, &Oid)| !wanted.contains_key(*name);
        changes.deleted =
            held.iter().filter(is_gone).map(|(name, old)| (name.clone(), old.clone())).collect();
        changes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.created.len().saturating_add(self.updated.len()).saturating_add(self.deleted.len())
    }

    /// The names that need something fetched.
    pub(super) fn to_fetch(&self) -> impl Iterator<Item = &RefName> {
        self.created.iter().map(|(name, _)| name).chain(self.updated.iter().map(|(name, ..)| name))
    }

    /// What refs are to point to.
    pub(super) fn new_tips(&self) -> impl Iterator<Item = &Oid> {
        self.created.iter().map(|(_, new)| new).chain(self.updated.iter().map(|(.., new)| new))
    }

    /// The deletions that must be over before the creations: `x` for `x/y`, and `x/y` for `x`.
    ///
    /// Git, a file system behind it, refuses both in one transaction.
    pub(super) fn in_the_way(&self) -> BTreeSet<&RefName> {
        let created: BTreeSet<&RefName> = self.created.iter().map(|(name, _)| name).collect();
        let deleted: BTreeSet<&RefName> = self.deleted.iter().map(|(name, _)| name).collect();
        let above = created.iter().flat_map(|name| name.directories());
        let mut in_the_way: BTreeSet<&RefName> =
            above.filter_map(|directory| deleted.get(&directory).copied()).collect();
        let is_below = |name: &&RefName| name.directories().any(|directory| created.contains(&directory));
        in_the_way.extend(deleted.iter().copied().filter(is_below));
        in_the_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: char) -> Oid {
        Oid::of(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn name(name: &str) -> RefName {
        RefName::of(format!("refs/{name}").as_bytes()).unwrap()
    }

    fn refs(names: &[(&str, char)]) -> Refs {
        names.iter().map(|(text, digit)| (name(text), oid(*digit))).collect()
    }

    #[test]
    fn only_well_formed_branches_and_tags_are_taken() {
        for good in ["refs/heads/main", "refs/tags/v1.0", "refs/heads/a/b@c", "refs/heads/é"] {
            assert!(RefName::of(good.as_bytes()).is_some(), "{good}");
        }
        assert!(RefName::of(b"refs/heads/\xff").is_some());
        let bad = [
            "HEAD",
            "refs/pull/1",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/heads/a//b",
            "refs/heads/a.",
            "refs/heads/a@{b",
            "refs/tags/v1^{}",
            "refs/heads/a.lock/b",
            "refs/heads/a\\b",
            "refs/heads/a:b",
            "refs/heads/a\x7f",
            "refs/heads/a/",
        ];
        for bad in bad {
            assert!(RefName::of(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_a_remote_shows_is_read() {
        let (a, b) = (oid('a'), oid('b'));
        let output = format!(
            "ref: refs/heads/dev\tHEAD\n{a}\tHEAD\n{a}\trefs/heads/dev\n{b}\trefs/tags/v1\n\
             {a}\trefs/tags/v1^{{}}\n{b}\trefs/pull/1/head\n{b}\trefs/heads/a..b\nrubbish\n"
        );
        let advertised = Advertised::of(output.as_bytes());
        assert_eq!(advertised.refs, refs(&[("heads/dev", 'a'), ("tags/v1", 'b')]));
        assert_eq!(advertised.head_branch, Some(name("heads/dev")));
        assert_eq!(advertised.head, Some(a));
        assert_eq!(advertised.left_out, ["refs/heads/a..b"]);
    }

    #[test]
    fn the_head_follows_the_remote() {
        #[track_caller]
        fn check(told: Option<&str>, current: Option<&str>, new: Option<&str>) {
            let advertised =
                Advertised { head_branch: told.map(name), head: Some(oid('a')), ..Default::default() };
            let wanted = refs(&[("heads/dev", 'a'), ("heads/main", 'a'), ("heads/x", 'b'), ("tags/v", 'a')]);
            assert_eq!(advertised.new_head(&wanted, current.map(name).as_ref()), new.map(name));
        }
        check(Some("heads/dev"), None, Some("heads/dev"));
        check(Some("heads/dev"), Some("heads/dev"), None);
        check(Some("heads/dev"), Some("heads/main"), Some("heads/dev"));
        check(Some("heads/gone"), Some("heads/x"), None);
        check(None, Some("heads/x"), None);
        check(None, Some("heads/gone"), Some("heads/main"));
        check(None, None, Some("heads/main"));
    }

    #[test]
    fn changes_are_what_differs() {
        let held = refs(&[("heads/a", '1'), ("heads/b", '1'), ("heads/c", '1')]);
        let wanted = refs(&[("heads/a", '1'), ("heads/b", '2'), ("heads/d", '2')]);
        let changes = Changes::between(&held, &wanted);
        assert_eq!(changes.created, [(name("heads/d"), oid('2'))]);
        assert_eq!(changes.updated, [(name("heads/b"), oid('1'), oid('2'))]);
        assert_eq!(changes.deleted, [(name("heads/c"), oid('1'))]);
        assert!(Changes::between(&held, &held).is_empty());
    }

    #[test]
    fn a_file_is_in_the_way_of_a_directory_and_the_reverse() {
        let held = refs(&[("heads/x", '1'), ("heads/y/z", '1'), ("heads/other", '1'), ("heads/y2", '1')]);
        let wanted = refs(&[("heads/x/a/b", '1'), ("heads/y", '1')]);
        let changes = Changes::between(&held, &wanted);
        assert_eq!(changes.in_the_way(), BTreeSet::from([&name("heads/x"), &name("heads/y/z")]));
    }
}
