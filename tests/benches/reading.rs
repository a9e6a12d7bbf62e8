//! How fast input is read once it is in memory: the FHIR scanner over `$submit-attachment` bodies, held against
//! copying the same bytes and against `serde_json`; the `Upload-Metadata` codec, held against bare base64.
//!
//! `cargo bench --bench reading`. The spool throws away what it gets: hashing and files are measured in `doors`.

mod table;

use base64_simd::{Out, STANDARD};
use bytes::Bytes;
use cdex_gateway::internals::{self, Failure, Scan};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::table::{MIB, best_of_three, mib_per_second, speed};

/// What a connection brings at a time when the sender is faster.
const CHUNK: usize = 256 * 1024;
/// The attachment, encoded.
const LARGE: usize = 256 * MIB;

fn main() -> Result<(), Failure> {
    table::heading("FHIR scanner, in memory", "MiB");
    let bytes: Vec<u8> = (0..LARGE / 4 * 3).scan(1_u64, |state, _| Some(pseudo_random(state))).collect();
    let data = STANDARD.encode_to_string(&bytes);
    large("one attachment of 256 MiB base64", &data, bytes.len() as u64)?;
    let lines = in_lines(&data);
    large("the same in lines of 76 characters (escaped CR LF)", &lines, bytes.len() as u64)?;
    drop((bytes, data, lines));
    small()?;
    metadata()
}

/// One large payload: it never becomes part of the skeleton.
fn large(what: &str, data: &str, spooled_bytes: u64) -> Result<(), Failure> {
    let resource =
        format!(r#"{{"resourceType":"DocumentReference","content":[{{"attachment":{{"data":"{data}"}}}}]}}"#);
    let body = submission(&resource);
    let scanned = scan(&body)?;
    assert_eq!(scanned.spooled_bytes, spooled_bytes, "all of the payload is taken out");
    let at = |time| mib_per_second(body.len(), time);
    // Into memory that is there already: fresh pages would cost more than the copy.
    let mut copied = body.to_vec();
    let copy = best_of_three(|| copied.copy_from_slice(std::hint::black_box(&body)));
    let copy = table::limit(&format!("{what}: memcpy"), at(copy));
    table::row("  scanned", at(best_of_three(|| scan(&body))), copy);
    table::row("  serde_json::Value", at(best_of_three(|| serde_json::from_slice::<Value>(&body))), copy);
    if !data.contains('\\') {
        let decode = best_of_three(|| STANDARD.decode(data.as_bytes(), Out::from_slice(&mut copied)).is_ok());
        table::row("  base64 decoded, nothing else", at(decode), copy);
        table::row("  SHA-256 of the body, nothing else", at(best_of_three(|| Sha256::digest(&body))), copy);
    }
    Ok(())
}

/// Many small strings: all of it stays.
fn small() -> Result<(), Failure> {
    let item = r#"{"linkId":"4.2.1","text":"Does the patient use oxygen at night?","answer":[{"valueString":"yes, 2 l/min"}]}"#;
    let items = vec![item; 12 * MIB / item.len()].join(",");
    let resource =
        format!(r#"{{"resourceType":"QuestionnaireResponse","status":"completed","item":[{items}]}}"#);
    let body = submission(&resource);
    let scanned = scan(&body)?;
    assert_eq!(scanned, Scan { skeleton_bytes: body.len(), spooled_bytes: 0 }, "nothing is taken out");
    let at = |time| mib_per_second(body.len(), time);
    let what = "12 MiB of small strings: serde_json::Value";
    let json = table::limit(what, at(best_of_three(|| serde_json::from_slice::<Value>(&body))));
    table::row("  scanned", at(best_of_three(|| scan(&body))), json);
    table::row("  memcpy", at(best_of_three(|| body.to_vec())), json);
    Ok(())
}

fn metadata() -> Result<(), Failure> {
    const ROUNDS: usize = 100_000;
    table::heading("Upload-Metadata, parsed and written again", "header");
    let pairs = [
        ("version", "2.0"),
        ("data_stream_id", "cdex"),
        ("data_stream_route", "attachment"),
        ("sender_id", "1407071236"),
        ("data_producer_id", "9941339108"),
        ("jurisdiction", "null"),
        ("received_filename", "submit-attachment-0f4c2a9e-3f1b-4a65-9d3a-6a2f6f1f2c55.pdf"),
        ("meta_ext_objectkey", "2c3d4e5f-0000-4000-8000-1234567890ab"),
    ];
    let values = pairs.map(|(_, value)| STANDARD.encode_to_string(value));
    let entries: Vec<String> =
        pairs.iter().zip(&values).map(|((key, _), value)| format!("{key} {value}")).collect();
    let header = entries.join(",");
    assert_eq!(internals::recode_metadata(header.as_bytes())?, header, "the header survives");
    let base64 = best_of_three(|| {
        for _ in 0..ROUNDS {
            for value in &values {
                std::hint::black_box(STANDARD.decode_to_vec(value)).ok();
            }
        }
    });
    let base64 = table::limit("its eight values decoded from base64, nothing else", speed(ROUNDS, base64));
    let recoded = best_of_three(|| {
        for _ in 0..ROUNDS {
            std::hint::black_box(internals::recode_metadata(header.as_bytes())).ok();
        }
    });
    table::row("the codec", speed(ROUNDS, recoded), base64);
    Ok(())
}

/// A `$submit-attachment` body with one resource.
fn submission(resource: &str) -> Bytes {
    let attachment =
        format!(r#"{{"name":"Attachment","part":[{{"name":"Content","resource":{resource}}}]}}"#);
    Bytes::from(format!(r#"{{"resourceType":"Parameters","parameter":[{attachment}]}}"#))
}

fn scan(body: &Bytes) -> Result<Scan, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(internals::scan(body.clone(), CHUNK))
}

/// Base64 as MIME breaks it, in a JSON string.
fn in_lines(data: &str) -> String {
    let mut lines = String::with_capacity(data.len() / 19 * 20 + 8);
    let mut rest = data;
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(76));
        lines.push_str(line);
        lines.push_str(r"\r\n");
        rest = more;
    }
    lines
}

/// Bytes without a pattern that a decoder could profit from.
#[expect(clippy::cast_possible_truncation, reason = "one byte of the state is wanted")]
fn pseudo_random(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 24) as u8
}
