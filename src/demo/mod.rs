//! `cdex-gateway demo`: the main job, played and checked before the reader's eyes.
//!
//! A gateway starts in a temporary folder on a free loopback port, and clients talk to it as anybody
//! would, over HTTP alone: they push documents and are refused ([`submit`]), lose the line and resume
//! ([`tus`]), and ask where the files are ([`trail`]). Every claim on the screen is compared with what the
//! gateway answered or with the bytes on disk ([`console`]); nothing here looks into the gateway.

mod console;
mod documents;
mod gateway;
mod submit;
mod trail;
mod tus;

use std::io;
use std::time::{Duration, Instant};

use crate::app::{App, AppError, Signals};
use crate::config::{Config, Problems};
use crate::outbound::OutboundError;
use crate::telemetry::{self, TelemetryError};

use console::{Console, millis};
use gateway::Gateway;

/// The story did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The defaults are not sound.
    #[error(transparent)]
    Config(#[from] Problems),
    /// Logging could not be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The gateway did not start, or did not end as it should.
    #[error(transparent)]
    App(#[from] AppError),
    /// A call brought no answer.
    #[error("{call}: {source}")]
    Call {
        /// Method and path.
        call: String,
        /// What went wrong.
        source: OutboundError,
    },
    /// An answer came, but not of the form that is promised.
    #[error("{call}: the answer is not {expected}")]
    Answer {
        /// Method and path.
        call: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// Something was waited for in vain.
    #[error("waited in vain for {0}")]
    Late(&'static str),
    /// What was found is not what was expected; both were printed.
    #[error("the demo stops: a check failed")]
    Check,
    /// Standard output, the temporary folder or the line to the gateway failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A signal came before the end.
    #[error("interrupted before the story was over")]
    Interrupted,
}

/// Plays the story. Without `exit` the gateway then goes on serving until a signal comes.
///
/// The temporary folder is gone when this returns, however it ends.
pub(crate) async fn run(exit: bool) -> Result<(), DemoError> {
    // From here on a signal no longer kills the process, so the folder is always removed.
    let mut signals = Signals::receive().map_err(AppError::from)?;
    let folder = tempfile::Builder::new().prefix("cdex-gateway-demo-").tempdir()?;
    let mut config = Config::defaults_in(folder.path())?;
    // The story is on standard output; only what the gateway itself calls an error may interrupt it.
    "error".clone_into(&mut config.telemetry.log_filter);
    telemetry::install(&config.telemetry)?;

    let starting = Instant::now();
    let app = App::start(config).await?;
    let ready = starting.elapsed();
    let gateway = Gateway::at(app.address(), folder.path())?;
    let mut console = Console::new(io::stdout());
    let told = tokio::select! {
        biased;
        () = signals.next() => Err(DemoError::Interrupted),
        told = story(&mut console, &gateway, ready) => told,
    };
    let ended = match told {
        Ok(upload_id) if !exit => {
            invite(&mut console, &gateway, &upload_id)?;
            app.run(signals).await.map_err(DemoError::from)
        }
        Ok(_) => app.stop().await.map_err(DemoError::from),
        Err(error) => {
            // What went wrong in the story is the better thing to tell.
            let _ = app.stop().await;
            Err(error)
        }
    };
    folder.close()?;
    ended
}

/// The steps in order. Gives the id of the upload that has the longest history.
async fn story(console: &mut Console, gateway: &Gateway, ready: Duration) -> Result<String, DemoError> {
    console.line("cdex-gateway demo: documents travel from a sender to a folder, each byte is checked.")?;
    console.line("Patient, people and places are invented.")?;
    console.line("")?;
    console.row("gateway", &format!("{} (ready in {})", gateway.base(), millis(ready)))?;
    console.row("folder", &gateway.folder().display().to_string())?;

    let begun = Instant::now();
    submit::push(console, gateway).await?;
    submit::refused(console, gateway).await?;
    let upload_id = tus::resume(console, gateway).await?;
    submit::refer(console, gateway, &upload_id).await?;
    trail::show(console, gateway, &upload_id).await?;
    console.summary(begun.elapsed())?;
    Ok(upload_id)
}

/// Says what to try now that the story is over.
fn invite(console: &mut Console, gateway: &Gateway, upload_id: &str) -> io::Result<()> {
    let base = gateway.base();
    console.line("")?;
    console.line("The gateway goes on serving. Open in a browser:")?;
    for path in ["/fhir/metadata", &format!("/upload/info/{upload_id}"), "/health/ready", "/metrics"] {
        console.line(&format!("   {base}{path}"))?;
    }
    console.line("")?;
    console.line("Try in another terminal, deliver again and look at the trail:")?;
    console.line(&format!("   find {} -type f", gateway.delivered_folder().display()))?;
    console.line("   curl -X POST -d '{\"target\":\"local\"}' \\")?;
    console.line(&format!("     {base}/upload/route/{upload_id}"))?;
    console.line(&format!("   curl '{base}/upload/info/{upload_id}?view=reports'"))?;
    console
        .line("   curl -H 'Content-Type: application/fhir+json' -d '{\"resourceType\":\"Parameters\"}' \\")?;
    console.line(&format!("     '{base}/fhir/$submit-attachment'"))?;
    console.line("")?;
    console.line("Ctrl-C stops it and removes the folder.")
}
