//! What is shown of an upload: a bar on standard error where a terminal is, and at the end a result on standard output,
//! for a person or as JSON.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::UploadError;
use super::transfer::Uploaded;
use crate::cli::client::row;
use crate::cli::print;
use crate::outbound::tus::{Watch, id_of};

/// The bar of one file. Its parts move it together.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that has not begun.
    pub(super) fn of(path: &Path) -> Self {
        let bar = ProgressBar::new(0);
        let template = "{prefix} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        bar.set_prefix(name.chars().filter(|character| !character.is_control()).collect::<String>());
        Self { bar }
    }

    /// How long the file is, and what the server has of it: that is not part of the rate.
    pub(super) fn begin(&self, length: u64, from: u64) {
        self.bar.set_length(length);
        self.bar.set_position(from);
        self.bar.reset_eta();
    }

    /// A watch for each part, which begins with these bytes done.
    pub(super) fn watches(&self, done: &[u64]) -> Vec<Watch> {
        let all: Arc<Vec<AtomicU64>> = Arc::new(done.iter().copied().map(AtomicU64::new).collect());
        let watch = |part: usize| -> Watch {
            let (all, bar) = (all.clone(), self.bar.clone());
            Arc::new(move |at| {
                all[part].store(at, Ordering::Relaxed);
                bar.set_position(all.iter().map(|part| part.load(Ordering::Relaxed)).sum());
            })
        };
        (0..done.len()).map(watch).collect()
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Tells that a file is uploaded. If standard output is closed nobody is there to be told.
pub(super) fn uploaded(is_json: bool, path: &Path, uploaded: &Uploaded) {
    let Uploaded { url, length, resumed_from, parts, time } = uploaded;
    let seconds = time.as_secs_f64();
    let _ = if is_json {
        print(
            &json!({
                "file": path.to_string_lossy(), "status": "uploaded", "url": url, "id": id_of(url),
                "bytes": length, "resumed_from": resumed_from, "parts": parts, "seconds": seconds,
            })
            .to_string(),
        )
    } else {
        let from = if *resumed_from > 0 { format!(", from byte {resumed_from} on") } else { String::new() };
        row("uploaded", &format!("{}: {length} bytes in {seconds:.1} s{from}", path.display()))
            .and_then(|()| row("upload", url))
    };
}

/// Tells why a file, or all of them, are not uploaded.
pub(super) fn failed(is_json: bool, path: Option<&Path>, error: &UploadError) {
    if is_json {
        let _ = print(
            &json!({
                "file": path.map(Path::to_string_lossy), "status": "failed", "error": error.to_string(),
                "messages": error.messages(), "again": error.is_worth_another_run(),
            })
            .to_string(),
        );
        return;
    }
    let mut text = path.map_or_else(String::new, |path| format!("{}: ", path.display()));
    text.push_str(&error.to_string());
    for message in error.messages() {
        text.push_str("\n  ");
        text.push_str(message);
    }
    if error.is_worth_another_run() {
        text.push_str("\n  run the same command again to go on");
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_all_parts_together_and_falls_back_with_them() {
        let progress = Progress::of(Path::new("/x/a\u{1b}b"));
        assert_eq!(progress.bar.prefix(), "ab");
        progress.begin(100, 30);
        let watches = progress.watches(&[10, 20]);
        for (part, at, position) in [(0, 15, 35), (1, 50, 65), (1, 25, 40)] {
            watches[part](at);
            assert_eq!(progress.bar.position(), position);
        }
    }
}
