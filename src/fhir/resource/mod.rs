//! The text of a resource at rest: what was received, without the white space between tokens, and with what the
//! server says about it in front. It is made in one pass over the text and without a tree, so numbers, the order of
//! members, escapes and content that nobody here understands stay as they were sent.
//!
//! [`raw`] takes texts apart. Whether the text is a right resource is for the scanner and the checks to say, before.

mod raw;
#[cfg(test)]
mod tests;

use std::io::Write as _;

use crate::clock::Timestamp;

use self::raw::Cursor;

pub(crate) use self::raw::{Malformed, Member, entries, members};

/// The text to store: `received` minified, with `resourceType` first, then `id`, then `meta`, whose `versionId` and
/// `lastUpdated` are the server's (FHIR R4, RESTful API, update), then all the rest in its order.
///
/// # Errors
/// The text is no JSON object, has no `resourceType`, or its `meta` is no object.
pub(crate) fn stamp(
    received: &[u8],
    id: &str,
    version: u64,
    last_updated: Timestamp,
) -> Result<Vec<u8>, Malformed> {
    let mut cursor = Cursor::new(received);
    let mut rest = Vec::with_capacity(received.len());
    let mut resource_type = None;
    let mut meta = None;
    let mut is_first = true;
    while let Some((name, raw_name)) = cursor.member(is_first)? {
        is_first = false;
        match &*name {
            "resourceType" => resource_type = Some(cursor.skip_value()?),
            "id" => drop(cursor.skip_value()?),
            "meta" => meta = Some(cursor.skip_value()?),
            _ => {
                append_name(raw_name, &mut rest);
                cursor.copy_value(&mut rest)?;
            }
        }
    }

    let mut text = Vec::with_capacity(rest.len() + meta.map_or(0, <[u8]>::len) + 160);
    text.extend_from_slice(b"{\"resourceType\":");
    text.extend_from_slice(resource_type.ok_or(Malformed)?);
    let id = serde_json::Value::from(id);
    // Writing to a vector cannot fail.
    let _ = write!(
        text,
        ",\"id\":{id},\"meta\":{{\"versionId\":\"{version}\",\"lastUpdated\":\"{last_updated}\""
    );
    if let Some(meta) = meta {
        append_meta(meta, &mut text)?;
    }
    text.push(b'}');
    text.append(&mut rest);
    text.push(b'}');
    Ok(text)
}

/// The text with the member of this name replaced, added, or, without a value, left out; all the rest as it is.
///
/// # Errors
/// The text is no JSON object.
pub(crate) fn with_member(
    text: &[u8],
    name: &str,
    value: Option<&serde_json::Value>,
) -> Result<Vec<u8>, Malformed> {
    let mut changed = Vec::with_capacity(text.len() + 64);
    let mut value = value.map(ToString::to_string);
    let mut put = |raw_name: &[u8], value: &[u8]| {
        changed.push(if changed.is_empty() { b'{' } else { b',' });
        changed.extend_from_slice(raw_name);
        changed.push(b':');
        changed.extend_from_slice(value);
    };
    for member in members(text) {
        let member = member?;
        if member.name == name {
            if let Some(value) = value.take() {
                put(member.raw_name, value.as_bytes());
            }
        } else {
            put(member.raw_name, member.value);
        }
    }
    if let Some(value) = value {
        put(serde_json::Value::from(name).to_string().as_bytes(), value.as_bytes());
    }
    if changed.is_empty() {
        changed.push(b'{');
    }
    changed.push(b'}');
    Ok(changed)
}

/// What a client may say in `meta`: all but what only the server knows.
fn append_meta(meta: &[u8], text: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(meta);
    let mut is_first = true;
    while let Some((name, raw_name)) = cursor.member(is_first)? {
        is_first = false;
        if matches!(&*name, "versionId" | "lastUpdated" | "_versionId" | "_lastUpdated") {
            cursor.skip_value()?;
        } else {
            append_name(raw_name, text);
            cursor.copy_value(text)?;
        }
    }
    Ok(())
}

fn append_name(raw_name: &[u8], text: &mut Vec<u8>) {
    text.push(b',');
    text.extend_from_slice(raw_name);
    text.push(b':');
}
