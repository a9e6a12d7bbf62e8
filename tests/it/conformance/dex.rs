//! What a DEX Upload API is held to, in our own words: the checks of tus 1.0.0 (T), the guarantees of delivery (D), the
//! rules of forwarding to another DEX (F), and the weaknesses of DEX that are not to be repeated (W).

use std::fmt::Write as _;

use super::naming::{is_in_name, naming};
use super::{assert_readme_has, listed};

/// One item.
struct Item {
    key: &'static str,
    text: &'static str,
    /// Why no test could show it, or what of it is not there.
    remark: Option<&'static str>,
}

/// An item that tests prove.
const fn is(key: &'static str, text: &'static str) -> Item {
    Item { key, text, remark: None }
}

/// An item of which something is to be said.
const fn but(key: &'static str, text: &'static str, remark: &'static str) -> Item {
    Item { key, text, remark: Some(remark) }
}

const NO_BROKER: &str = "no such part here: deliveries are rows of the database, not messages of a broker";

const ITEMS: &[Item] = &[
    is("T-01", "`Tus-Resumable` in requests and answers, else 412"),
    is("T-02", "HEAD tells offset and length and is not cached"),
    is("T-03", "HEAD of what is not there: 404 without an offset"),
    is("T-04", "another content type of a PATCH is 415"),
    is("T-05", "another offset is 409, a bad one 400, and nothing moves"),
    is("T-06", "PATCH answers 204 with the new offset"),
    is("T-07", "what arrived before a connection broke is kept"),
    is("T-08", "OPTIONS tells versions, extensions and the maximum"),
    is("T-09", "`X-HTTP-Method-Override`"),
    is("T-10", "silent clients are given up"),
    is("T-11", "creation, with a `Location`"),
    is("T-12", "lengths that are none are 400"),
    is("T-13", "a length over the maximum is 413"),
    is("T-14", "an empty upload is complete at once, once"),
    is("T-15", "`Upload-Metadata` is checked and given back"),
    is("T-16", "creation-defer-length"),
    is("T-17", "HEAD says that a length is deferred"),
    is("T-18", "a PATCH tells the length, which then stays"),
    is("T-19", "a length equal to the offset completes"),
    is("T-20", "creation-with-upload"),
    is("T-21", "a whole file in the creation; `Expect: 100-continue`"),
    is("T-22", "a creation that breaks off keeps its bytes"),
    is("T-23", "expiration, with `Upload-Expires`"),
    is("T-24", "what has expired is 410; what is complete never does"),
    is("T-25", "checksum, with its list of algorithms"),
    is("T-26", "a wrong checksum is 460, an unknown one 400"),
    is("T-27", "checksum-trailer"),
    is("T-28", "termination"),
    is("T-29", "concatenation: parts are not delivered"),
    but("T-30", "final uploads name their parts in order", "not of unfinished parts"),
    is("T-31", "a final upload takes no PATCH; its offset comes at the end"),
    is("T-32", "nor bytes with its creation"),
    is("T-33", "its length is the sum, and parts can be used again"),
    is("T-34", "what is complete is finished once, whatever crashes"),
    is("T-35", "of two PATCHes one wins; who has vanished gives way"),
    is("T-36", "PATCH of what is complete: 204, no second delivery"),
    is("T-37", "a part needs no manifest, the final upload does"),
    is("D-01", "completion and its deliveries are one commit"),
    is("D-02", "delivered twice is delivered once"),
    is("D-03", "nothing is seen at its name before it is whole"),
    is("D-04", "length and SHA-256 are compared"),
    is("D-05", "backoff, a pool and a circuit for each target"),
    is("D-06", "what is given up is listed, counted and repeated"),
    is("D-07", "names that clash: by policy, nothing lost silently"),
    is("D-08", "in order, where asked for"),
    is("D-09", "metadata beside a file"),
    is("D-10", "a stop loses nothing; a start goes on"),
    is("D-11", "attempts in `/info`, and a summary for each target"),
    is("F-01", "tokens: fetched, refreshed, shared"),
    is("F-02", "creation as a DEX wants it"),
    is("F-03", "`Location` behind gateways that rewrite"),
    is("F-04", "chunks; the offset told is believed"),
    is("F-05", "whatever breaks: HEAD and go on; a new upload at last"),
    is("F-06", "URL and offset are kept before the first byte"),
    is("F-07", "a refused manifest is told in its words"),
    is("F-08", "each status has its remedy"),
    is("F-09", "`/info` there says when it has arrived"),
    is("F-10", "the id there is kept, and ours goes along"),
    is("F-11", "one upload here, at most one there"),
    is("F-12", "manifests that cannot be kept there are not sent"),
    is("F-13", "servers that fail, ourselves among them"),
    is("W-01", "a queue in memory loses deliveries"),
    but(
        "W-02",
        "any bearer value is believed",
        "not yet: authentication; until then loopback alone is served",
    ),
    is("W-03", "one bad route stops the others, unseen"),
    is("W-04", "a read error becomes a short file that counts as delivered"),
    is("W-05", "file names climb out of the target"),
    is("W-06", "parts are delivered and the whole is not"),
    is("W-07", "an error after the last byte: never delivered"),
    is("W-08", "dead clients hold locks for ever"),
    is("W-09", "forged hosts in `Location`; any origin may call"),
    is("W-10", "the same path is overwritten silently"),
    is("W-11", "half files at targets, no fsync"),
    is("W-12", "retries at once or never"),
    is("W-13", "what waits is delivered twice at once"),
    is("W-14", "one failed call to the queue ends the process"),
    but("W-15", "a message that cannot be read crashes", NO_BROKER),
    but("W-16", "publishing is told to have failed, or not to", NO_BROKER),
    is("W-17", "reports of failures lack half their envelope"),
    is("W-18", "reports come out of order"),
    is("W-19", "reports are lost"),
    is("W-20", "states are guessed from times of files"),
    is("W-21", "times of files are told as those of events"),
    is("W-22", "`/info` knows one replica's disk alone"),
    is("W-23", "nothing ever expires"),
    is("W-24", "locks without fencing"),
    is("W-25", "HEAD interrupts a PATCH"),
    is("W-26", "configuration is cached for ever and read by letter case"),
    is("W-27", "optional fields fail; bad metadata is dropped"),
    but("W-28", "anybody may remove anything, during a delivery too", "whose an upload is, not yet"),
    is("W-29", "`/route` crashes, and answers before anything happened"),
    is("W-30", "health: slow, serial, and not true"),
    is("W-31", "internal errors and manifests in answers"),
    is("W-32", "gauges drift; labels without bounds"),
    is("W-33", "metadata is altered on the way"),
    is("W-34", "wrong locations"),
    but("W-35", "web pages with foreign scripts and tokens in cookies", "not yet: web pages"),
    is("W-36", "wrong settings are accepted"),
    is("W-37", "a stop cancels copies and forgets the queue"),
    is("W-38", "no limits, no back-pressure"),
    is("W-39", "a redelivery tool that cannot fail"),
    is("W-40", "slow targets hold up the others"),
    but("W-41", "queues that are made without rights", NO_BROKER),
    is("W-42", "manifests and reports in the log"),
];

/// The longest row: the table is one line for each item.
const LONGEST: usize = 160;

#[test]
fn the_readme_says_of_each_item_of_a_dex_which_test_proves_it() {
    let mut table = String::from("| Key | In short | Here |\n|---|---|---|\n");
    for Item { key, text, remark } in ITEMS {
        let mut proofs = naming(key);
        // What says so itself comes first.
        proofs.sort_by_key(|name| (!is_in_name(key, name), name.len()));
        let proofs = listed(&proofs, 1);
        let here = match remark {
            None if proofs.is_empty() => "not yet",
            None => &proofs,
            Some(remark) if proofs.is_empty() => remark,
            Some(remark) => &format!("{remark}; {proofs}"),
        };
        let row = format!("| {key} | {text} | {here} |");
        assert!(row.len() <= LONGEST, "shorter words or a shorter name: {row}");
        let _ = writeln!(table, "{row}");
    }
    assert_readme_has("items of a DEX", &table);
}

#[test]
fn every_item_of_a_dex_stands_once_and_in_order() {
    let ranges = [("T", 37), ("D", 11), ("F", 13), ("W", 42)];
    let expected =
        ranges.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}-{n:02}")));
    assert!(ITEMS.iter().map(|item| item.key).eq(expected));
}
