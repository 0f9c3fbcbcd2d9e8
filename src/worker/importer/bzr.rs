//! Bazaar: the place is kept, nothing is imported yet.
//!
//! To be done with `brz push --lossy`, and never outside a sandbox: `brz` follows redirects and references
//! to files of the importing machine; then the fence that [`super::git`] publishes through.

/// Why a worker does not take work of this RCS.
pub(super) const WHY_NOT: &str = "the importer for Bazaar is not written yet, and needs a sandbox";
