//! Waiting for another process: look, pause shortly, look again, give up at a deadline that no healthy run
//! comes near. The only place where tests pause.

use std::time::{Duration, Instant};

/// Far beyond what a loaded machine needs; only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// Looks until there is something to see.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        pause(Duration::from_millis(15));
    }
}

/// Lets time pass: between two looks, and before a kill at a random moment.
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
