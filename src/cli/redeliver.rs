//! `redeliver`: deliveries once more: one of an upload, those of a CSV file as DEX's tool takes it, or all that a
//! filter means (D-06, dex-upload W-39). It ends with an exit code other than 0 if anything that was asked for is not
//! done.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use super::client::{ClientArgs, ClientError, GatewayClient};
use super::deliveries::FilterArgs;
use super::{Outcome, block_on, print};
use crate::id::UploadId;

/// Deliveries that one call repeats.
const PER_CALL: u64 = 10_000;

/// What is delivered again: an upload, those of a file, or what a filter means.
#[derive(Debug, Args)]
pub(super) struct RedeliverArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The id of one upload; --target says where to.
    #[arg(
        value_name = "UPLOAD_ID",
        requires = "target",
        conflicts_with_all = ["csv", "status", "stream", "route", "sender", "since", "until", "limit"]
    )]
    upload: Option<String>,
    /// CSV files with a header row and the columns upload id and target; they say all, so no filter goes with them.
    #[arg(
        long,
        value_name = "FILE",
        value_delimiter = ',',
        conflicts_with_all = ["status", "target", "stream", "route", "sender", "since", "until", "limit"]
    )]
    csv: Vec<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Say what would be delivered, and deliver nothing.
    #[arg(long)]
    dry_run: bool,
}

/// One line of the report.
struct Line {
    upload_id: String,
    target: String,
    result: String,
    is_done: bool,
}

pub(super) fn run(args: &RedeliverArgs) -> Outcome {
    block_on(redeliver(args))?
}

async fn redeliver(args: &RedeliverArgs) -> Outcome {
    let gateway = GatewayClient::new(&args.client)?;
    let pairs = match (&args.upload, &args.filter.target) {
        (Some(upload), Some(target)) => Some(vec![(upload.clone(), target.clone())]),
        _ if !args.csv.is_empty() => Some(read_csv(&args.csv)?),
        _ => None,
    };
    let lines = match pairs {
        Some(pairs) => {
            let mut lines = Vec::new();
            for (upload_id, target) in pairs {
                lines.push(one(&gateway, args.dry_run, upload_id, target).await?);
            }
            lines
        }
        None => many(&gateway, args).await?,
    };
    report(args, &lines)
}

/// One delivery, by the call that every DEX has.
async fn one(
    gateway: &GatewayClient,
    is_dry_run: bool,
    upload_id: String,
    target: String,
) -> Result<Line, ClientError> {
    let url = gateway.url(&format!("/upload/route/{upload_id}"));
    let call = gateway.posting(&url, "application/json").header("accept", "application/json");
    // Other DEX servers take no field that they do not know, nor do they have dry runs.
    let body =
        if is_dry_run { json!({ "target": target, "dry_run": true }) } else { json!({ "target": target }) };
    let (result, is_done) = match gateway.send(&url, call.body(Bytes::from(body.to_string()))).await {
        Ok(answer) => {
            let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            match answer["status"].as_str().unwrap_or("queued") {
                "queued" if is_dry_run => ("would be queued".to_owned(), true),
                status => (status.to_owned(), true),
            }
        }
        Err(ClientError::Refused { reason, .. }) => {
            (reason.split_whitespace().collect::<Vec<_>>().join(" "), false)
        }
        Err(error) => return Err(error),
    };
    Ok(Line { upload_id, target, result, is_done })
}

/// All that the filter means.
async fn many(gateway: &GatewayClient, args: &RedeliverArgs) -> Result<Vec<Line>, ClientError> {
    let url = gateway.url("/upload/deliveries/redeliver");
    let mut ask = args.filter.wire();
    ask.insert("dry_run".to_owned(), args.dry_run.into());
    let (mut lines, mut left) = (Vec::new(), args.filter.limit.unwrap_or(u64::MAX));
    loop {
        ask.insert("limit".to_owned(), left.min(PER_CALL).into());
        let body = Bytes::from(Value::from(ask.clone()).to_string());
        let answer = gateway.send(&url, gateway.posting(&url, "application/json").body(body)).await?;
        let answer: Value =
            serde_json::from_slice(&answer.body).map_err(|_| ClientError::NotJson(url.clone()))?;
        for delivery in answer["deliveries"].as_array().into_iter().flatten() {
            let text = |name: &str| delivery[name].as_str().unwrap_or_default().to_owned();
            let (result, is_done) = match text("result").as_str() {
                "queued" if args.dry_run => ("would be queued".to_owned(), true),
                "queued" => ("queued".to_owned(), true),
                other => (other.to_owned(), false),
            };
            lines.push(Line { upload_id: text("upload_id"), target: text("target"), result, is_done });
            left = left.saturating_sub(1);
        }
        match answer["next"].as_str() {
            Some(next) if left > 0 => ask.insert("after".to_owned(), next.into()),
            _ => return Ok(lines),
        };
    }
}

fn read_csv(files: &[PathBuf]) -> Result<Vec<(String, String)>, ClientError> {
    let mut pairs = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ClientError::File { path: name.clone(), source })?;
        pairs.extend(read_text(&text).map_err(|rule| ClientError::Failed(format!("{name}: {rule}")))?);
    }
    Ok(pairs)
}

/// The pairs of one file, or what is wrong with it.
fn read_text(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().and_then(|(_, line)| read_line(line));
    let is_id = |column: &str| column.parse::<UploadId>().is_ok();
    // The names of the columns are whoever's; an id among them, or the columns the other way round, is no header.
    let is_header = header.is_some_and(|(first, second)| {
        !is_id(&first) && !is_id(&second) && !first.eq_ignore_ascii_case("target")
    });
    if !is_header {
        return Err("the first line must be a header: upload id,target".to_owned());
    }
    let pairs = lines.map(|(index, line)| {
        read_line(line).ok_or_else(|| format!("line {} is not an upload id and a target", index + 1))
    });
    let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
    if pairs.is_empty() { Err("has no line behind its header".to_owned()) } else { Ok(pairs) }
}

/// The first two columns of a line. Ids and names of targets hold neither commas nor quotes, but may stand in quotes.
fn read_line(line: &str) -> Option<(String, String)> {
    let mut columns = line.split(',').map(|column| column.trim().trim_matches('"').to_owned());
    let pair = (columns.next()?, columns.next()?);
    (!pair.0.is_empty() && !pair.1.is_empty()).then_some(pair)
}

fn report(args: &RedeliverArgs, lines: &[Line]) -> Outcome {
    let done = lines.iter().filter(|line| line.is_done).count();
    if args.client.json {
        let deliveries: Vec<Value> = lines
            .iter()
            .map(|line| {
                json!({ "upload_id": line.upload_id, "target": line.target, "result": line.result,
                    "done": line.is_done })
            })
            .collect();
        let skipped = lines.len() - done;
        let whole =
            json!({ "dry_run": args.dry_run, "done": done, "not_done": skipped, "deliveries": deliveries });
        print(&whole.to_string())?;
    } else {
        for line in lines {
            print(&format!("{}  {}  {}", line.upload_id, line.target, line.result))?;
        }
        let verb = if args.dry_run { "would be queued" } else { "queued or under way" };
        print(&format!("{done} of {} {verb}", lines.len()))?;
    }
    if done == lines.len() {
        Ok(())
    } else {
        let left = lines.len() - done;
        Err(ClientError::Failed(format!("{left} of {} cannot be delivered again", lines.len())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w_39_a_file_that_names_nothing_or_has_no_header_is_told() {
        let id = UploadId::new();
        let pairs = |text: String| read_text(&text).map(|pairs| pairs.len());
        assert_eq!(pairs(format!("upload id,target\n{id},edav\n\n{id},routing\n")), Ok(2));
        assert_eq!(pairs(format!("\"UploadID\",\"Target\",x\r\n{id},edav,y\r\n")), Ok(1));
        for wrong in [
            String::new(),
            "\n".to_owned(),
            "upload id,target\n".to_owned(),
            "upload id\n".to_owned(),
            format!("{id},edav\n{id},edav\n"),
            format!("target,upload id\nedav,{id}\n"),
            format!("upload id,target\n{id}\n"),
        ] {
            assert!(pairs(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn w_39_the_lines_of_dexs_tool_are_read() {
        let pair = |id: &str, target: &str| Some((id.to_owned(), target.to_owned()));
        assert_eq!(read_line("a,edav"), pair("a", "edav"));
        assert_eq!(read_line("\"a\", \"edav\",more\r"), pair("a", "edav"));
        assert_eq!(read_line("a"), None);
        assert_eq!(read_line(",edav"), None);
    }
}
