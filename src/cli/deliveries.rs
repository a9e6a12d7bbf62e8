//! `deliveries`: which deliveries stand where, the dead ones unless something else is asked for.

use clap::Args;
use serde_json::{Map, Value};

use super::client::{ClientArgs, GatewayClient};
use super::{Outcome, block_on, print};
use crate::outbound::form;

/// Deliveries that one answer of the gateway holds.
const PAGE: u64 = 1_000;

/// Which deliveries are meant.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Where they stand: dead, delivered, pending, leased, waiting, held, cancelled; several with commas.
    #[arg(long, value_name = "STATUS", default_value = "dead")]
    status: String,
    /// Name of the target.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// The data stream (`data_stream_id`).
    #[arg(long, value_name = "ID")]
    stream: Option<String>,
    /// Its route (`data_stream_route`).
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// The sender (`sender_id`).
    #[arg(long, value_name = "ID")]
    sender: Option<String>,
    /// Ended at this moment or later (RFC 3339); what has not ended was asked for then.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Ended before this moment.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
}

impl FilterArgs {
    /// The filter in the gateway's words.
    pub(super) fn wire(&self) -> Map<String, Value> {
        let words = [
            ("status", Some(&self.status)),
            ("target", self.target.as_ref()),
            ("data_stream_id", self.stream.as_ref()),
            ("data_stream_route", self.route.as_ref()),
            ("sender_id", self.sender.as_ref()),
            ("since", self.since.as_ref()),
            ("until", self.until.as_ref()),
        ];
        let said =
            words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), word?.as_str().into())));
        said.collect()
    }
}

/// What is listed.
#[derive(Debug, Args)]
pub(super) struct DeliveriesArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) fn run(args: &DeliveriesArgs) -> Outcome {
    block_on(list(args))?
}

async fn list(args: &DeliveriesArgs) -> Outcome {
    let gateway = GatewayClient::new(&args.client)?;
    let filter = args.filter.wire();
    let query = form(filter.iter().map(|(name, word)| (name.as_str(), word.as_str().unwrap_or_default())));
    let (mut left, mut after) = (args.filter.limit.unwrap_or(u64::MAX), None::<String>);
    while left > 0 {
        let mut path = format!("/upload/deliveries?{query}&limit={}", left.min(PAGE));
        if let Some(after) = &after {
            path.push_str("&after=");
            path.push_str(after);
        }
        let page = gateway.get(&path).await?;
        if after.is_none() && !args.client.json {
            print(&format!("{} in all", page["total"]))?;
        }
        for delivery in page["deliveries"].as_array().into_iter().flatten() {
            print(&if args.client.json { delivery.to_string() } else { line(delivery) })?;
            left = left.saturating_sub(1);
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(())
}

/// A delivery for a reader: the upload and its target first, as `redeliver --csv` takes them.
fn line(delivery: &Value) -> String {
    let text = |name: &str| delivery[name].as_str().unwrap_or("-");
    let ended = delivery["ended_at"].as_str().unwrap_or_else(|| text("created_at"));
    let parts = [text("upload_id"), text("target"), text("status"), ended, text("issue")];
    parts.join("  ")
}
