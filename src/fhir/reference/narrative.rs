//! The links and images in a narrative (FHIR R4, Narrative: XHTML, well-formed): the values of `href` and `src` in
//! tags. It changes those values and nothing else, and leaves alone what only looks like one in text or comments.

use std::borrow::Cow;

use super::is_absolute;

/// Asks about each absolute link; what is answered replaces it whole.
pub(super) fn rewrite_links(div: &str, mut rename: impl FnMut(&str) -> Option<String>) -> Cow<'_, str> {
    let mut out = String::new();
    // Up to where `div` has been taken over.
    let mut taken = 0;
    let mut at = 0;
    while let Some(open) = div[at..].find('<') {
        let tag = at + open;
        if div[tag..].starts_with("<!--") {
            let Some(end) = div[tag..].find("-->") else { break };
            at = tag + end + 3;
            continue;
        }
        at = tag + 1;
        while let Some(attribute) = next_attribute(div, at) {
            let link = &div[attribute.begin..attribute.end];
            at = attribute.end + 1;
            if !attribute.is_link || !is_absolute(link) {
                continue;
            }
            if let Some(renamed) = rename(link) {
                out.push_str(&div[taken..attribute.begin]);
                out.push_str(&escape(&renamed));
                taken = attribute.end;
            }
        }
    }
    if taken == 0 {
        return Cow::Borrowed(div);
    }
    out.push_str(&div[taken..]);
    Cow::Owned(out)
}

/// Where the value of an attribute is.
struct Attribute {
    is_link: bool,
    begin: usize,
    end: usize,
}

/// The next attribute of the tag that `from` is in; `None` behind its last.
fn next_attribute(div: &str, from: usize) -> Option<Attribute> {
    let found = from + div[from..].find(['"', '\'', '>'])?;
    let quote = div[found..].chars().next().filter(|&quote| quote != '>')?;
    let name = div[from..found].trim_end().strip_suffix('=').unwrap_or_default().trim_end();
    let name = name.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
    let begin = found + 1;
    let end = begin + div[begin..].find(quote)?;
    Some(Attribute { is_link: matches!(name, "href" | "src"), begin, end })
}

/// A text as it stands in an attribute, whatever the quotes.
fn escape(text: &str) -> Cow<'_, str> {
    if text.contains(['&', '<', '"', '\'']) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        return Cow::Owned(text.replace('"', "&quot;").replace('\'', "&#39;"));
    }
    Cow::Borrowed(text)
}
