//! `cdex-gateway demo`: the main job, played and checked before the reader's eyes.
//!
//! A payer's gateway and a provider's start in a temporary folder on free loopback ports ([`pair`]), and clients talk
//! to them as anybody would, over HTTP alone: they push documents and are refused ([`submit`]), lose the line and
//! resume ([`tus`]), ask where the files are ([`trail`]), and have one gateway ask the other ([`ask`]). Every claim on
//! the screen is compared with what a gateway answered or with the bytes on disk ([`console`]); nothing here looks into
//! a gateway.

mod ask;
mod console;
mod documents;
mod gateway;
mod pair;
mod submit;
mod trail;
mod tus;

use std::io;
use std::time::{Duration, Instant};

use crate::app::{AppError, Signals};
use crate::config::Problems;
use crate::outbound::OutboundError;
use crate::telemetry::TelemetryError;

use console::{Console, millis};
use gateway::Gateway;
use pair::Pair;

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

/// Plays the story. Without `exit` the gateways then go on serving until a signal comes.
///
/// The temporary folder is gone when this returns, however it ends.
pub(crate) async fn run(exit: bool) -> Result<(), DemoError> {
    // From here on a signal no longer kills the process, so the folder is always removed.
    let mut signals = Signals::receive().map_err(AppError::from)?;
    let folder = tempfile::Builder::new().prefix("cdex-gateway-demo-").tempdir()?;
    let starting = Instant::now();
    let pair = Pair::start(folder.path()).await?;
    let ready = starting.elapsed();
    let mut console = Console::new(io::stdout());
    let told = tokio::select! {
        biased;
        () = signals.next() => Err(DemoError::Interrupted),
        told = story(&mut console, &pair, ready) => told,
    };
    let ended = match told {
        Ok(upload_id) if !exit => {
            invite(&mut console, &pair.payer, &upload_id)?;
            pair.run(signals).await
        }
        Ok(_) => pair.stop().await,
        Err(error) => {
            // What went wrong in the story is the better thing to tell.
            let _ = pair.stop().await;
            Err(error)
        }
    };
    folder.close()?;
    ended
}

/// The steps in order. Gives the id of the upload that has the longest history.
async fn story(console: &mut Console, pair: &Pair, ready: Duration) -> Result<String, DemoError> {
    let Pair { payer, provider, .. } = pair;
    console.line("cdex-gateway demo: documents travel from a provider to a payer, each byte is checked.")?;
    console.line("Patient, people and places are invented.")?;
    console.line("")?;
    console.row("payer", &format!("{} in {}", payer.base(), payer.folder().display()))?;
    console.row("provider", &format!("{} in {}", provider.base(), provider.folder().display()))?;
    console.row("", &format!("both ready in {}", millis(ready)))?;

    let begun = Instant::now();
    submit::push(console, payer).await?;
    submit::refused(console, payer).await?;
    let patient = ask::chart(console, provider).await?;
    ask::data(console, payer, provider).await?;
    ask::attachment(console, payer).await?;
    let upload_id = tus::resume(console, payer).await?;
    submit::refer(console, payer, &upload_id).await?;
    ask::search(console, provider, &patient).await?;
    trail::show(console, payer, &upload_id).await?;
    console.summary(begun.elapsed())?;
    Ok(upload_id)
}

/// Says what to try now that the story is over.
fn invite(console: &mut Console, gateway: &Gateway, upload_id: &str) -> io::Result<()> {
    let base = gateway.base();
    console.line("")?;
    console.line("Both gateways go on serving. Open in a browser, at the payer's:")?;
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
    console.line("Ctrl-C stops them and removes the folder.")
}
