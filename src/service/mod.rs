//! The loops: where store and broker meet. No rule is in here.

mod settings;

pub use settings::Settings;
