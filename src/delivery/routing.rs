//! Which targets a data stream goes to, and where in each. Made of DEX's delivery file and the built-in route; after
//! that it is only looked up, and another one takes its place when the file has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::config::{self, ClashPolicy, FileTarget, NamedTarget, RoutingGroup, TargetConfig};
use super::destination::{MetadataPlace, dex_misfits, object_misfits};
use super::ordering::OrderBy;
use super::path_template::PathTemplate;
use crate::manifest::{
    BUILT_IN_STREAM, ConfigProblem, StreamConfigs, V1Rules, Variables, expand_variables, is_stream_word,
    stream_key,
};

/// The target of the built-in route, its folder within the data folder, and the template there.
const BUILT_IN_TARGET: (&str, &str, &str) =
    ("local", "delivered/local", "{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}_{{.UploadId}}");

/// One target of a data stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoutedTarget {
    /// The target's name.
    pub(crate) target: String,
    /// Where in the target files of this stream go.
    pub(crate) path_template: PathTemplate,
    /// In which order they go there, if in any.
    pub(crate) ordering: Option<OrderBy>,
}

/// All targets, and the targets of each data stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routing {
    targets: BTreeMap<String, TargetConfig>,
    /// By id and route, both in lower case: a pair, because `a_b` + `c` is not `a` + `b_c`.
    groups: BTreeMap<(String, String), Vec<RoutedTarget>>,
    /// Deliveries at once at the targets that have a bound of their own.
    concurrency: HashMap<String, usize>,
    warnings: Vec<String>,
}

impl Routing {
    /// The built-in route alone: stream `cdex`/`attachment` to the folder target `local`.
    pub(crate) fn built_in() -> Self {
        let mut routing = Self::default();
        routing.add_built_in_route();
        routing
    }

    /// Reads a delivery file and adds the built-in route, unless the file routes that stream itself. A file
    /// may define `local`; then the built-in route leads there.
    ///
    /// *Errors*: everything that is wrong, each with its place.
    pub(crate) fn from_yaml(
        file: &str,
        yaml: &str,
        variables: Variables<'_>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let expanded = expand_variables(file, yaml, variables).map_err(|mut unset| {
            unset.extend(problems_beside(file, yaml, variables));
            unset
        })?;
        Self::from_expanded(file, &expanded)
    }

    fn from_expanded(file: &str, yaml: &str) -> Result<Self, Vec<ConfigProblem>> {
        let (parsed, mut problems) = config::parse(file, yaml);
        let mut routing = Self::default();
        for target in parsed.targets {
            problems.extend(routing.add_target(target));
        }
        for group in parsed.routing_groups {
            routing.add_group(group, &parsed.unread, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if routing.groups.is_empty() {
            let name = format!("{}/{}", BUILT_IN_STREAM.0, BUILT_IN_STREAM.1);
            routing.warnings.push(format!(
                "{file}: has no routing_groups: uploads go nowhere, but for those of the built-in data stream {name}"
            ));
        }
        routing.add_built_in_route();
        Ok(routing)
    }

    /// The targets of a data stream, in the order of the file; empty if it goes nowhere. Letter case does
    /// not matter, as in the look-up of the stream's rules.
    pub(crate) fn targets_for(&self, data_stream_id: &str, data_stream_route: &str) -> &[RoutedTarget] {
        self.groups.get(&group_key(data_stream_id, data_stream_route)).map_or(&[], Vec::as_slice)
    }

    /// All targets by name.
    pub(crate) fn targets(&self) -> &BTreeMap<String, TargetConfig> {
        &self.targets
    }

    /// Deliveries at once at the targets that have a bound of their own.
    pub(crate) fn concurrency(&self) -> &HashMap<String, usize> {
        &self.concurrency
    }

    /// The fields of a manifest that a target of its data stream wants with the object and cannot keep as they are,
    /// each with the rule that it breaks (dex-upload W-33).
    pub(crate) fn misfits<'f>(
        &self,
        (data_stream_id, data_stream_route): (&str, &str),
        fields: &[(&'f str, &'f str)],
    ) -> BTreeSet<(&'f str, &'static str)> {
        let routed = self.targets_for(data_stream_id, data_stream_route).iter();
        let misfits = routed.map(|routed| match self.targets.get(&routed.target) {
            Some(TargetConfig::Object(target)) if target.metadata == MetadataPlace::Object => {
                object_misfits(fields, target.holder())
            }
            Some(TargetConfig::Dex(target)) => dex_misfits(fields, &target.metadata),
            _ => Vec::new(),
        });
        misfits.flatten().collect()
    }

    /// What is legal but surely not meant: in the file itself, and between it and the rules of the streams.
    pub(crate) fn warnings(&self, configs: &StreamConfigs) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        warnings.extend(configs.warnings());
        for ((id, route), targets) in &self.groups {
            if targets.is_empty() {
                warnings.push(format!(
                    "data stream {id}/{route} has a routing group without targets: its uploads go nowhere"
                ));
            }
            if !configs.knows(id, route) {
                warnings.push(format!(
                    "data stream {id}/{route} is routed but has no rules: its uploads are refused"
                ));
            }
        }
        let is_routed = |name: &str| {
            self.groups
                .keys()
                .any(|(id, route)| name == format!("{id}_{route}") || name == format!("{id}-{route}"))
        };
        let of_today = configs.names().map(|name| (name, ""));
        let of_v1 = configs.v1().into_iter().flat_map(V1Rules::names).map(|name| (name, "v1/"));
        for (name, folder) in of_today.chain(of_v1).filter(|(name, _)| !is_routed(name)) {
            warnings.push(format!(
                "data stream file {folder}{name}.json has no routing group: its uploads go nowhere"
            ));
        }
        let used: BTreeSet<&str> =
            self.groups.values().flatten().map(|routed| routed.target.as_str()).collect();
        for name in self.targets.keys().filter(|name| !used.contains(name.as_str())) {
            warnings.push(format!("target {name} is in no routing group: nothing is delivered there"));
        }
        warnings
    }

    fn add_target(&mut self, target: NamedTarget) -> Option<ConfigProblem> {
        let NamedTarget { place, name, target, concurrency } = target;
        self.concurrency.extend(concurrency.map(|bound| (name.clone(), bound)));
        let is_new = self.targets.insert(name, target).is_none();
        (!is_new).then(|| ConfigProblem::new(place, "another target has this name"))
    }

    fn add_group(
        &mut self,
        group: RoutingGroup,
        unread: &[Option<String>],
        problems: &mut Vec<ConfigProblem>,
    ) {
        let RoutingGroup { place, data_stream_id, data_stream_route, delivery_targets, ordering } = group;
        for (key, word) in [("data_stream_id", &data_stream_id), ("data_stream_route", &data_stream_route)] {
            if !is_stream_word(word) {
                problems.push(ConfigProblem::new(
                    format!("{place}.{key}"),
                    "must be made of A-Z, a-z, 0-9, '.', '_' and '-'",
                ));
            }
        }
        let mut targets = Vec::new();
        for (index, (name, template)) in delivery_targets.into_iter().enumerate() {
            let place = format!("{place}.delivery_targets[{index}]");
            // A target that is there but broken was reported; every route to it would only say so again.
            let is_broken = unread.iter().any(|broken| broken.as_ref().is_none_or(|broken| *broken == name));
            if !is_broken && !self.targets.contains_key(&name) {
                problems.push(ConfigProblem::new(&place, format!("there is no target named {name}")));
            }
            match PathTemplate::parse(&template) {
                Ok(path_template) => {
                    let routed = RoutedTarget { target: name, path_template, ordering: ordering.clone() };
                    if targets.contains(&routed) {
                        problems.push(ConfigProblem::new(
                            place,
                            "names the same target with the same path again",
                        ));
                    }
                    targets.push(routed);
                }
                Err(error) => {
                    problems.push(ConfigProblem::new(format!("{place}.path_template"), error.to_string()));
                }
            }
        }
        let key = group_key(&data_stream_id, &data_stream_route);
        match self.groups.get(&key) {
            None => {
                self.groups.insert(key, targets);
            }
            // DEX's own files repeat a group; as long as both say the same, no file goes astray.
            Some(known) if *known == targets => {
                self.warnings.push(format!("{place}: repeats the routing group of this data stream"));
            }
            Some(_) => {
                problems.push(ConfigProblem::new(place, "another routing group is for this data stream"));
            }
        }
    }

    fn add_built_in_route(&mut self) {
        let key = group_key(BUILT_IN_STREAM.0, BUILT_IN_STREAM.1);
        if self.groups.contains_key(&key) {
            return;
        }
        let (name, path, template) = BUILT_IN_TARGET;
        let path_template = PathTemplate::parse(template)
            .expect("the_built_in_route_leads_to_the_local_folder parses this text");
        self.groups
            .insert(key, vec![RoutedTarget { target: name.to_owned(), path_template, ordering: None }]);
        self.targets.entry(name.to_owned()).or_insert_with(|| {
            TargetConfig::File(FileTarget {
                path: path.into(),
                clash_policy: ClashPolicy::SuffixUploadId,
                metadata_sidecar: false,
            })
        });
    }
}

/// What is wrong with a file beside variables that are not set. Nobody knows what they would say: only what is wrong
/// whatever it is counts.
fn problems_beside(file: &str, yaml: &str, variables: Variables<'_>) -> Vec<ConfigProblem> {
    let with = |value: &str| {
        let stand_in = |name: &str| variables(name).or_else(|| Some(value.to_owned()));
        let expanded = expand_variables(file, yaml, &stand_in)?;
        Routing::from_expanded(file, &expanded).map(drop)
    };
    let mut found =
        ["https://unset.example", "AAAA", "1", "true"].map(|value| with(value).err().unwrap_or_default());
    let mut common = std::mem::take(&mut found[0]);
    common.retain(|problem| found[1..].iter().all(|others| others.contains(problem)));
    common
}

fn group_key(data_stream_id: &str, data_stream_route: &str) -> (String, String) {
    (stream_key(data_stream_id), stream_key(data_stream_route))
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
