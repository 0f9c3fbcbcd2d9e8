//! Subversion: the place is kept, nothing is imported yet.
//!
//! To be done through a private copy of the foreign repository (`svnrdump`, `svnadmin load`), which is thirty
//! times faster than `git svn`; then `svn-all-fast-export`, and the fence that [`super::git`] publishes through.

/// Why a worker does not take work of this RCS.
pub(super) const WHY_NOT: &str = "the importer for Subversion is not written yet";
