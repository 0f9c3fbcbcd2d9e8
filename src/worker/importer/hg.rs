//! Mercurial: the place is kept, nothing is imported yet.
//!
//! To be done with Mercurial's own `fastexport` and a filter that renames every ref, since it loses heads
//! and breaks on blanks in names; then the fence that [`super::git`] publishes through.

/// Why a worker does not take work of this RCS.
pub(super) const WHY_NOT: &str = "the importer for Mercurial is not written yet";
