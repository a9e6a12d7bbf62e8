//! The order of deliveries (D-08): `ordering` of a routing group names the manifest field whose uploads go to each
//! target one after the other, in the order in which they were complete. The store claims by the key that is made here.

use crate::digest::{Digest, Sha256};

use super::routing::RoutedTarget;
use crate::manifest::SenderManifest;

/// Which uploads of a data stream wait for one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OrderBy {
    /// All.
    Stream,
    /// Those with the same value of a manifest field; those without the field are one order, too.
    Field(String),
}

impl OrderBy {
    /// `stream`, `sender`, or the name of a manifest field.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "stream" => Self::Stream,
            "sender" => Self::Field("sender_id".to_owned()),
            field => Self::Field(field.to_owned()),
        }
    }
}

impl RoutedTarget {
    /// What the deliveries of one order have in common. Each target has orders of its own, so that one that is down
    /// keeps nothing from the others. A digest, because the values come from outside and have any length.
    pub(crate) fn ordering_key(&self, manifest: &SenderManifest) -> Option<String> {
        let value = match self.ordering.as_ref()? {
            OrderBy::Stream => None,
            OrderBy::Field(name) => manifest.fields().get(name),
        };
        let mut digest = Sha256::new();
        let stream = [manifest.data_stream_id(), manifest.data_stream_route()].map(str::to_lowercase);
        for part in [&*self.target, &*stream[0], &*stream[1], value.unwrap_or_default()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Some(format!("stream/{}", hex::encode(digest.finalize())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Routing;
    use super::*;

    fn routing(ordering: &str) -> Routing {
        let yaml = format!(
            "targets:
  a: {{ name: a, type: file, path: a }}
  b: {{ name: b, type: file, path: b }}
routing_groups:
  - data_stream_id: s
    data_stream_route: r
    {ordering}
    delivery_targets: [{{ name: a }}, {{ name: b }}]"
        );
        Routing::from_yaml("d.yml", &yaml, &|_| None).expect("a sound file")
    }

    fn keys(routing: &Routing, sender: &str, more: &str) -> Vec<Option<String>> {
        let json = format!(
            r#"{{"data_stream_id":"S","data_stream_route":"r","sender_id":"{sender}","jurisdiction":"{more}"}}"#
        );
        let manifest = SenderManifest::from_json(json.as_bytes()).expect("a manifest");
        routing.targets_for("s", "r").iter().map(|routed| routed.ordering_key(&manifest)).collect()
    }

    #[test]
    fn d_08_uploads_of_one_sender_share_a_key_for_each_target_and_others_do_not() {
        let routing = routing("ordering: sender");
        let one = keys(&routing, "one", "x");
        assert_eq!(one, keys(&routing, "one", "y"));
        assert_ne!(one[0], one[1], "another target, another order");
        assert_ne!(one, keys(&routing, "two", "x"));
        assert!(one[0].as_ref().is_some_and(|key| !key.contains("one")), "no value of a client");
    }

    #[test]
    fn d_08_an_order_is_by_any_field_or_of_the_whole_stream_and_there_is_none_without_asking() {
        let by_field = routing("ordering: jurisdiction");
        assert_eq!(keys(&by_field, "one", "x"), keys(&by_field, "two", "x"));
        assert_ne!(keys(&by_field, "one", "x"), keys(&by_field, "one", "y"));
        let whole = routing("ordering: stream");
        assert_eq!(keys(&whole, "one", "x"), keys(&whole, "two", "y"));
        assert_eq!(keys(&routing(""), "one", "x"), [None, None]);
    }
}
