//! What a generation asked of other instances, and what of it is asked again when it comes back: pure.
//!
//! Nobody is destroyed by that: neither those that only the other generation asked for, nor those that
//! were to be destroyed when this one was made. Their data is newer than it.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use slapos_slap::{
    ComputerId, InstanceRequest, InstanceState, InstanceTitle, PartitionId, SoftwareUrl,
};

use super::Generation;

/// What is kept of the requests of one generation, and of all together, bytes: a history must stay
/// readable, and what a partition asks is its own affair.
const MOST: usize = 256 << 10;
const MOST_TOGETHER: usize = 1 << 20;

/// A request for another instance, as a generation made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The title of the instance within its tree.
    pub title: InstanceTitle,
    /// Its Software Release.
    pub software: SoftwareUrl,
    /// Which of the Software Release's types.
    pub software_type: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: IndexMap<String, String>,
    /// Where it may live.
    #[serde(default)]
    pub sla: IndexMap<String, String>,
    /// What it is to be.
    #[serde(default)]
    pub state: Option<InstanceState>,
    /// Whether it is a place in an instance that exists.
    #[serde(default)]
    pub shared: bool,
}

impl Asked {
    /// What `request` asks for, whoever asks.
    pub(crate) fn of(request: &InstanceRequest) -> Self {
        let InstanceRequest {
            title, software, software_type, parameters, state, shared, sla, ..
        } = request.clone();
        Self { title, software, software_type, parameters, sla, state, shared }
    }

    /// The same request by the instance in that partition.
    pub(crate) fn by(self, computer: &ComputerId, partition: &PartitionId) -> InstanceRequest {
        let Self { title, software, software_type, parameters, sla, state, shared } = self;
        let requester = Some((computer.clone(), partition.clone()));
        InstanceRequest {
            title,
            software,
            software_type,
            parameters,
            state,
            shared,
            sla,
            requester,
        }
    }

    /// What tells it from others of its tree.
    fn name(&self) -> (&InstanceTitle, bool) {
        (&self.title, self.shared)
    }

    fn size(&self) -> usize {
        serde_json::to_string(self).map_or(MOST, |text| text.len())
    }
}

/// Collects what an instance asks for while its parts are made: the last word about each counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    known: IndexMap<(InstanceTitle, bool), Asked>,
    size: usize,
    too_much: bool,
}

impl Requests {
    /// Takes note of a request that the Master took.
    pub(crate) fn note(&mut self, asked: Asked) {
        if self.too_much {
            return;
        }
        self.size += asked.size();
        let former = self.known.insert((asked.title.clone(), asked.shared), asked);
        self.size -= former.map_or(0, |former| former.size());
        if self.size > MOST {
            *self = Self { too_much: true, ..Self::default() };
        }
    }

    /// All of them; `None` if that is too much to be kept.
    pub(crate) fn all(self) -> Option<Vec<Asked>> {
        (!self.too_much).then(|| self.known.into_values().collect())
    }
}

/// Forgets the requests of the oldest of `generations` if all together are too much.
pub(super) fn lighten(generations: &mut [Generation]) {
    let mut left = MOST_TOGETHER;
    for known in generations.iter_mut().rev() {
        let size = known.requests.iter().flatten().map(Asked::size).sum();
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => known.requests = None,
        }
    }
}

/// What is asked again, and what people are told beside.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Again {
    /// In its order.
    pub(crate) ask: Vec<Asked>,
    /// What stays as it is, in sentences.
    pub(crate) remarks: Vec<String>,
}

/// What is asked when `back` comes back in the place of `other`, for an instance that is to be `state`.
pub(crate) fn again(back: &Generation, other: Option<&Generation>, state: InstanceState) -> Again {
    let others = other.map_or(Some([].as_slice()), |other| other.requests.as_deref());
    let Some(requests) = &back.requests else {
        return Again { remarks: unknown(back, other, others), ..Again::default() };
    };
    let (gone, alive): (Vec<&Asked>, Vec<&Asked>) =
        requests.iter().partition(|asked| asked.state == Some(InstanceState::Destroyed));
    let ask = alive.iter().map(|asked| Asked {
        // What is asked for is as alive as who asks, unless the profile says otherwise.
        state: asked.state.map(|was| if was == back.wanted.state { state } else { was }),
        ..(*asked).clone()
    });
    let mut remarks = Vec::new();
    if !gone.is_empty() {
        let text = "which is not asked again: destroy what is not needed";
        remarks.push(format!(
            "generation {} wanted {} destroyed, {text}",
            back.number,
            titles(gone)
        ));
    }
    let known: BTreeSet<_> = requests.iter().map(Asked::name).collect();
    let added = others.unwrap_or_default().iter().filter(|asked| !known.contains(&asked.name()));
    let added: Vec<_> = added.collect();
    if let (Some(other), false) = (other, added.is_empty()) {
        let text = "what is not needed is yours to destroy";
        remarks.push(format!(
            "only generation {} asked for {}, and it stays as it is: {text}",
            other.number,
            titles(added)
        ));
    }
    Again { ask: ask.collect(), remarks }
}

/// What is told where nobody knows what `back` asked for; nothing where there was nobody to ask for.
fn unknown(back: &Generation, other: Option<&Generation>, others: Option<&[Asked]>) -> Vec<String> {
    let who = match (other, others) {
        (Some(_), Some([])) | (None, _) => return Vec::new(),
        (Some(other), Some(others)) => {
            format!("{} as generation {} asked", titles(others), other.number)
        }
        (Some(_), None) => "others as they were asked last".to_owned(),
    };
    vec![format!("what generation {} asked for is not kept, which leaves {who}", back.number)]
}

/// The titles of `asked`, in words.
pub(crate) fn titles<'a>(asked: impl IntoIterator<Item = &'a Asked>) -> String {
    asked.into_iter().map(|asked| asked.title.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made;

    fn asked(title: &str, word: &str) -> Asked {
        let mut request = InstanceRequest::new(title, "/s.cfg");
        request.parameters.insert("word".into(), word.into());
        request.state = Some(InstanceState::Started);
        Asked::of(&request)
    }

    fn generation(number: u32, requests: Option<Vec<Asked>>) -> Generation {
        Generation { requests, ..made(number, "d") }
    }

    fn remarks(back: Option<Vec<Asked>>, other: Option<Vec<Asked>>) -> String {
        let (back, other) = (generation(1, back), generation(2, other));
        again(&back, Some(&other), InstanceState::Started).remarks.join("\n")
    }

    #[test]
    fn what_it_asked_is_asked_again_and_nobody_is_destroyed() {
        let mut gone = asked("old", "x");
        gone.state = Some(InstanceState::Destroyed);
        let back = generation(1, Some(vec![asked("db", "good"), gone.clone()]));
        let other = generation(2, Some(vec![asked("new", "bad"), asked("db", "bad"), gone]));
        let told = again(&back, Some(&other), InstanceState::Started);
        assert_eq!(told.ask, [asked("db", "good")]);
        insta::assert_snapshot!(told.remarks.join("\n"), @r"
        generation 1 wanted old destroyed, which is not asked again: destroy what is not needed
        only generation 2 asked for new, and it stays as it is: what is not needed is yours to destroy
        ");
    }

    #[test]
    fn a_shared_instance_is_another_than_one_of_its_title() {
        let shared = Asked { shared: true, ..asked("db", "x") };
        let text = remarks(Some(vec![asked("db", "x")]), Some(vec![shared]));
        assert!(text.starts_with("only generation 2 asked for db,"), "{text}");
    }

    #[test]
    fn others_are_as_alive_as_who_asks() {
        let back = generation(1, Some(vec![asked("db", "good")]));
        let told = again(&back, None, InstanceState::Stopped);
        assert_eq!(told.ask[0].state, Some(InstanceState::Stopped));
    }

    #[test]
    fn what_is_not_known_is_said_where_there_may_be_somebody() {
        assert_eq!(remarks(None, Some(Vec::new())), "");
        insta::assert_snapshot!(remarks(None, Some(vec![asked("db", "x")])), @"what generation 1 asked for is not kept, which leaves db as generation 2 asked");
        insta::assert_snapshot!(remarks(None, None), @"what generation 1 asked for is not kept, which leaves others as they were asked last");
    }

    #[test]
    fn the_last_word_counts_and_too_much_is_not_kept() {
        let mut requests = Requests::default();
        for word in ["one", "two"] {
            requests.note(asked("db", word));
        }
        assert_eq!(requests.size, asked("db", "two").size());
        assert_eq!(requests.clone().all().unwrap(), [asked("db", "two")]);
        requests.note(asked("large", &"x".repeat(MOST)));
        requests.note(asked("db", "three"));
        assert_eq!(requests.all(), None);
    }

    #[test]
    fn the_requests_of_the_oldest_are_forgotten_first() {
        let large = || Some(vec![asked("db", &"x".repeat(MOST_TOGETHER / 2 - 1000))]);
        let mut generations = [1, 2, 3].map(|number| generation(number, large()));
        lighten(&mut generations);
        assert_eq!(generations.map(|known| known.requests.is_some()), [false, true, true]);
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let kept = serde_json::to_string(&asked("db", "x")).unwrap();
        insta::assert_snapshot!(kept, @r#"{"title":"db","software":"/s.cfg","software_type":"default","parameters":{"word":"x"},"sla":{},"state":"started","shared":false}"#);
        let request = serde_json::from_str::<Asked>(&kept).unwrap().by(&"c".into(), &"p".into());
        assert_eq!(request.requester, Some(("c".into(), "p".into())));
        assert_eq!(Asked::of(&request), asked("db", "x"));
    }
}
