//! CVS: the place is kept, nothing is imported yet.
//!
//! To be done with `git cvsimport` on a root that was parsed and built again, since a CVS root is a command
//! line; then the fence that [`super::git`] publishes through.

/// Why a worker does not take work of this RCS.
pub(super) const WHY_NOT: &str = "the importer for CVS is not written yet";
