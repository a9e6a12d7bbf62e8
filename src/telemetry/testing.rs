//! Captured log lines, for tests that say what is logged and what is not.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The log lines that one test's thread writes.
///
/// One subscriber serves all tests: with one for each, a line could be lost while another test's subscriber
/// is being registered.
pub(crate) struct LogLines;

impl LogLines {
    /// Sets the one subscriber up; before the code under test runs for the first time.
    pub(crate) fn install() {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            tracing_subscriber::fmt()
                .with_env_filter("cdex_gateway=trace")
                .with_ansi(false)
                .with_writer(|| Self)
                .init();
        });
    }

    /// Keeps the lines of this thread from now on.
    pub(crate) fn capture() {
        LINES.set(Some(Vec::new()));
    }

    /// The lines kept.
    pub(crate) fn captured() -> String {
        String::from_utf8(LINES.take().unwrap_or_default()).expect("log lines are text")
    }
}

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
