//! What a request may ask about the place of an instance: its SLA, as the original names it.
//!
//! - `computer_guid`: that computer and no other;
//! - `network_guid`: a computer in that network;
//! - `project_guid`: a computer of that project, which must be the instance's own;
//! - `label_KEY=VALUE`: a computer with that label. The original's properties of computers
//!   ([`PROPERTIES`]) are labels of the same name without the prefix;
//! - `capability=WORD`: a computer whose label `capability` has that word (words are separated by
//!   spaces or commas). A computer with that label serves nobody who asks for none, as there;
//! - `mode=unique_by_network`: a network that has no instance of the tree yet;
//! - `instance_guid`: the host of a shared instance, `<computer>-<partition>` or the partition alone.
//!
//! An empty value asks for nothing. Other keys ([`slapos_slap::sla`]) say nothing about the place. Those
//! that nobody knows are ignored in SLAP, as by the original's embedded Master (its large one never
//! finds a place for such a key); the API refuses them, and `slapos request` warns.

use indexmap::IndexMap;
use slapos_slap::ComputerId;
use slapos_slap::sla::PROPERTIES;

use super::Candidate;

/// The label of computers that are there for a purpose.
const CAPABILITY: &str = "capability";

/// What is asked about the place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) computer: Option<ComputerId>,
    pub(crate) network: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) capability: Option<String>,
    pub(crate) unique_by_network: bool,
}

impl Filter {
    /// Reads the SLA of an instance in `project`.
    ///
    /// # Errors
    /// What can never be fulfilled, in words.
    pub(crate) fn read(sla: &IndexMap<String, String>, project: &str) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for (key, value) in sla.iter().filter(|(_, value)| !value.is_empty()) {
            let value = value.clone();
            match key.as_str() {
                "computer_guid" => filter.computer = Some(ComputerId::new(value)),
                "network_guid" => filter.network = Some(value),
                "instance_guid" => filter.instance = Some(value),
                CAPABILITY => filter.capability = Some(value),
                "mode" if value == "unique_by_network" => filter.unique_by_network = true,
                "mode" => {
                    return Err(format!("mode={value} is not known: it can be unique_by_network"));
                }
                // The node would keep such an instance for ever.
                "retention_delay" if !value.trim().parse().is_ok_and(f64::is_finite) => {
                    return Err(format!("retention_delay={value} is no number of days"));
                }
                "project_guid" if value != project => {
                    return Err(format!(
                        "project_guid={value} contradicts the project of the instance, {}",
                        if project.is_empty() { "which is the operator's" } else { project }
                    ));
                }
                property if PROPERTIES.contains(&property) => {
                    filter.labels.push((property.to_owned(), value));
                }
                key => {
                    let label = key.strip_prefix("label_").filter(|label| !label.is_empty());
                    filter.labels.extend(label.map(|label| (label.to_owned(), value)));
                }
            }
        }
        filter.labels.sort();
        Ok(filter)
    }

    /// Whether a computer is what is asked for.
    pub(crate) fn accepts(&self, candidate: &Candidate) -> bool {
        self.fits(candidate) && !self.is_reserved(candidate)
    }

    /// Whether a computer is there for a purpose that nobody asks for here. Naming the computer is
    /// asking for it as it is.
    pub(super) fn is_reserved(&self, candidate: &Candidate) -> bool {
        let purpose = candidate.labels.get(CAPABILITY).map_or("", String::as_str);
        self.capability.is_none() && self.computer.is_none() && words(purpose).next().is_some()
    }

    /// Whether a computer has all that is asked for.
    pub(super) fn fits(&self, candidate: &Candidate) -> bool {
        let of = |key: &str| candidate.labels.get(key).map_or("", String::as_str);
        let capable = |wanted| words(of(CAPABILITY)).any(|word| word == wanted);
        self.capability.as_deref().is_none_or(capable)
            && self.computer.as_ref().is_none_or(|named| *named == candidate.computer)
            && self.network.as_ref().is_none_or(|network| *network == candidate.network)
            && self.labels.iter().all(|(key, value)| of(key) == value)
    }

    /// What is asked of computers, for messages; empty when nothing is.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.computer.as_ref().map(|computer| format!("computer_guid={computer}")));
        words.extend(self.network.as_ref().map(|network| format!("network_guid={network}")));
        words.extend(self.labels.iter().map(|(key, value)| format!("{key}={value}")));
        words.extend(self.capability.as_ref().map(|word| format!("{CAPABILITY}={word}")));
        words.join(", ")
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}
