//! Named places at which a process can be told to end, or to stop, itself. For `make chaos`: nothing is compiled of it
//! without the feature `failpoints`.
//!
//! The environment says at which place, what, and at which pass: `CODE_IMPORTS_FAILPOINT=committed-not-answered=kill@3`.
//! A signal to itself is the same as one from outside, but comes at a moment that nobody outside could meet. (The
//! crate `fail` panics, returns or sleeps; here no destructor may run, and no thread go on.)

/// Passes a place.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass(_place: &'static str) {}

#[cfg(feature = "failpoints")]
pub(crate) use armed::pass;

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// What the environment says.
    #[derive(Debug)]
    struct Failpoint {
        place: String,
        signal: Signal,
        /// At which pass.
        at: u32,
        passes: AtomicU32,
    }

    impl Failpoint {
        /// Reads `place=kill@3`; what is wrong with it is a bug of the harness.
        fn read(text: &str) -> Option<Self> {
            let (place, rest) = text.split_once('=')?;
            let (action, at) = rest.split_once('@')?;
            let signal = match action {
                "kill" => Signal::KILL,
                "stop" => Signal::STOP,
                _ => return None,
            };
            Some(Self { place: place.to_owned(), signal, at: at.parse().ok()?, passes: AtomicU32::new(0) })
        }

        /// Whether this is the place, and the pass.
        fn is_here(&self, place: &str) -> bool {
            self.place == place && self.passes.fetch_add(1, Ordering::Relaxed) + 1 == self.at
        }
    }

    pub(crate) fn pass(place: &'static str) {
        static FAILPOINT: OnceLock<Option<Failpoint>> = OnceLock::new();
        let read = || {
            let text = std::env::var("CODE_IMPORTS_FAILPOINT").ok()?;
            let failpoint = Failpoint::read(&text);
            assert!(failpoint.is_some(), "CODE_IMPORTS_FAILPOINT: {text}");
            failpoint
        };
        if let Some(failpoint) =
            FAILPOINT.get_or_init(read).as_ref().filter(|failpoint| failpoint.is_here(place))
        {
            tracing::warn!(place, "this process is told to end or to stop here");
            // It cannot fail: everybody may signal themselves.
            let _ = kill_process(getpid(), failpoint.signal);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_the_named_place_at_the_named_pass_is_met() {
            let failpoint = Failpoint::read("here=kill@2").unwrap();
            let met = ["here", "there", "here", "here"].map(|place| failpoint.is_here(place));
            assert_eq!(met, [false, false, true, false]);
            for wrong in ["here", "here=kill", "here=explode@1", "here=stop@x"] {
                assert!(Failpoint::read(wrong).is_none(), "{wrong}");
            }
        }
    }
}
