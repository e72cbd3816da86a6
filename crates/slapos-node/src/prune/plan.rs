//! Which shared parts go, and why: a pure function of what was found.

use std::collections::{BTreeMap, HashMap};

use slapos_engine::{StoredPart, StoredState};

use crate::worker::pruned::{Kept, Reason};

/// A shared part, and the hashes of others that its seal names.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) part: StoredPart,
    pub(super) names: Vec<String>,
}

/// All that the decision is made from.
#[derive(Debug, Default)]
pub(super) struct Observation {
    pub(super) parts: Vec<Observed>,
    /// Hash → who refers to it.
    pub(super) used: HashMap<String, String>,
    /// Hash → the partition that refers to it, if one does; `None` before they were asked.
    pub(super) asked: Option<BTreeMap<String, Option<String>>>,
}

/// One part and what becomes of it.
pub(super) type Verdict = (StoredPart, Reason);

/// What goes and what stays, each in the order of `observation`.
pub(super) fn decide(observation: Observation) -> (Vec<Verdict>, Vec<Kept>) {
    let needed = needed(&observation);
    let unused_users = users(&observation);
    let (mut go, mut stay) = (Vec::new(), Vec::new());
    for Observed { part, .. } in observation.parts {
        let known = |asked: &BTreeMap<_, _>| asked.contains_key(&part.hash);
        let reason = match part.state {
            StoredState::Pruned => Err(Reason::Pruned),
            StoredState::Building => Ok(Reason::Building),
            StoredState::Unfinished => Err(Reason::Unfinished),
            StoredState::Whole => match needed.get(&part.hash) {
                Some(reason) => Ok(reason.clone()),
                None if !observation.asked.as_ref().is_none_or(known) => Ok(Reason::New),
                None => Err(match unused_users.get(&part.hash) {
                    Some(user) => Reason::UsedByUnused(user.clone()),
                    None => Reason::Unused,
                }),
            },
        };
        match reason {
            Ok(reason) => stay.push(Kept { location: part.location, reason }),
            Err(reason) => go.push((part, reason)),
        }
    }
    (go, stay)
}

/// Hashes of the parts that something needs, directly or through others.
fn needed(observation: &Observation) -> HashMap<String, Reason> {
    let by_hash = by_hash(&observation.parts);
    let asked = observation.asked.iter().flatten();
    let partitions =
        asked.filter_map(|(hash, who)| Some((hash, format!("partition {}", who.as_ref()?))));
    let used = observation.used.iter().map(|(hash, who)| (hash, who.clone()));
    let mut needed: HashMap<String, Reason> =
        partitions.chain(used).map(|(hash, who)| (hash.clone(), Reason::Used(who))).collect();
    let mut rest: Vec<String> = needed.keys().cloned().collect();
    // A part that nobody could be asked about stays, and so does what it needs.
    if let Some(asked) = &observation.asked {
        let new = |observed: &&Observed| !asked.contains_key(&observed.part.hash);
        let new = observation.parts.iter().filter(new).map(|observed| observed.part.hash.clone());
        rest.extend(new);
    }
    while let Some(hash) = rest.pop() {
        for observed in by_hash.get(hash.as_str()).into_iter().flatten() {
            for other in &observed.names {
                if !needed.contains_key(other) {
                    let reason = Reason::UsedByPart(observed.part.name.clone());
                    needed.insert(other.clone(), reason);
                    rest.push(other.clone());
                }
            }
        }
    }
    needed
}

/// Hash → the name of a part that refers to it.
fn users(observation: &Observation) -> HashMap<String, String> {
    let named = observation.parts.iter().flat_map(|observed| {
        let others = observed.names.iter().filter(|name| **name != observed.part.hash);
        others.map(|other| (other.clone(), observed.part.name.clone()))
    });
    named.collect()
}

fn by_hash(parts: &[Observed]) -> HashMap<&str, Vec<&Observed>> {
    let mut map: HashMap<&str, Vec<&Observed>> = HashMap::new();
    for observed in parts.iter().filter(|o| o.part.state == StoredState::Whole) {
        map.entry(&observed.part.hash).or_default().push(observed);
    }
    map
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn observed(name: &str, state: StoredState, names: &[&str]) -> Observed {
        let part = StoredPart {
            name: name.to_owned(),
            hash: name.to_owned(),
            location: PathBuf::from("/s").join(name),
            state,
        };
        Observed { part, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn shown(observation: Observation) -> String {
        let (go, stay) = decide(observation);
        let go = go.iter().map(|(part, why)| format!("- {}: {why}\n", part.name));
        let stay =
            stay.iter().map(|kept| format!("+ {}: {}\n", kept.location.display(), kept.reason));
        go.chain(stay).collect()
    }

    fn store() -> Vec<Observed> {
        use StoredState::{Building, Pruned, Unfinished, Whole};
        vec![
            observed("app", Whole, &["app", "lib"]),
            observed("lib", Whole, &["base"]),
            observed("base", Whole, &[]),
            observed("old", Whole, &["old-lib", "base"]),
            observed("old-lib", Whole, &["loop"]),
            observed("loop", Whole, &["old-lib"]),
            observed("instance", Whole, &[]),
            observed("late", Whole, &["late-lib"]),
            observed("late-lib", Whole, &[]),
            observed("broken", Unfinished, &[]),
            observed("begun", Building, &[]),
            observed("gone", Pruned, &[]),
        ]
    }

    #[test]
    fn what_is_reachable_stays_and_the_rest_goes_with_reasons() {
        let used = HashMap::from([("app".to_owned(), "/soft/1".to_owned())]);
        insta::assert_snapshot!(shown(Observation { parts: store(), used, asked: None }), @r"
        - old: nothing refers to it
        - old-lib: only what goes too refers to it, such as loop
        - loop: only what goes too refers to it, such as old-lib
        - instance: nothing refers to it
        - late: nothing refers to it
        - late-lib: only what goes too refers to it, such as late
        - broken: its build was cut short, and nobody is at it
        - gone: an earlier prune did not come to remove it
        + /s/app: /soft/1 refers to it
        + /s/lib: the shared part app refers to it
        + /s/base: the shared part lib refers to it
        + /s/begun: a build is at it
        ");
    }

    #[test]
    fn partitions_keep_what_they_refer_to_and_what_they_were_not_asked_about_stays() {
        let used = HashMap::from([("app".to_owned(), "/soft/1".to_owned())]);
        let unused = ["old", "old-lib", "loop", "late-lib", "broken", "gone"];
        let mut asked: BTreeMap<_, _> = unused.map(|hash| (hash.to_owned(), None)).into();
        asked.insert("instance".to_owned(), Some("slappart3".to_owned()));
        insta::assert_snapshot!(shown(Observation { parts: store(), used, asked: Some(asked) }), @r"
        - old: nothing refers to it
        - old-lib: only what goes too refers to it, such as loop
        - loop: only what goes too refers to it, such as old-lib
        - broken: its build was cut short, and nobody is at it
        - gone: an earlier prune did not come to remove it
        + /s/app: /soft/1 refers to it
        + /s/lib: the shared part app refers to it
        + /s/base: the shared part lib refers to it
        + /s/instance: partition slappart3 refers to it
        + /s/late: it is new
        + /s/late-lib: the shared part late refers to it
        + /s/begun: a build is at it
        ");
    }
}
