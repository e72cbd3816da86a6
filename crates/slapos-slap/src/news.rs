//! What is last heard of the instances of a tree, in the words of the original's Masters: `#access ...`
//! when all is well, `#error ...` when it is not.

use serde::{Deserialize, Serialize};

use crate::types::InstanceInfo;

/// What was last heard of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceNews {
    /// Its title.
    pub title: String,
    /// `#access` or `#error`, and words.
    pub text: String,
}

impl InstanceNews {
    /// What it reported: a state, and why, where that is `error`.
    pub fn report(&self) -> (&str, &str) {
        if let Some(message) = self.text.strip_prefix("#error") {
            return ("error", message.trim());
        }
        // Masters say `Instance correctly started`.
        let words = self.text.strip_prefix("#access").unwrap_or(&self.text);
        (words.split_whitespace().last().unwrap_or_default(), "")
    }
}

impl InstanceInfo {
    /// What the root itself reported last: a state, and why, where that is `error`.
    pub fn reported(&self) -> Option<(&str, &str)> {
        let own = self.news.iter().flatten().find(|news| news.title == self.title)?;
        Some(own.report())
    }

    /// The others of the tree that reported an error last, and why.
    pub fn broken_members(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.news.iter().flatten().filter(|news| news.title != self.title);
        others.filter_map(|news| match news.report() {
            ("error", message) => Some((news.title.as_str(), message)),
            _ => None,
        })
    }

    /// How the tree is in one word, as clients of the original have it: `green`, `red`, `orange` for
    /// some of each, `none` while nothing was heard, `unsupported` where the Master does not tell.
    pub fn status(&self) -> &'static str {
        let Some(news) = &self.news else { return "unsupported" };
        let any = |mark: &str| news.iter().any(|news| news.text.starts_with(mark));
        match (any("#access"), any("#error")) {
            (false, false) => "none",
            (true, false) => "green",
            (false, true) => "red",
            (true, true) => "orange",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(news: Option<&[(&str, &str)]>) -> InstanceInfo {
        let one = |(title, text): &(&str, &str)| InstanceNews {
            title: (*title).to_owned(),
            text: (*text).to_owned(),
        };
        InstanceInfo {
            title: "root".to_owned(),
            project: String::new(),
            software: "s".into(),
            software_type: String::new(),
            shared: false,
            requested_state: "started".to_owned(),
            parameters: indexmap::IndexMap::new(),
            connection: indexmap::IndexMap::new(),
            news: news.map(|news| news.iter().map(one).collect()),
        }
    }

    #[test]
    fn a_tree_is_as_its_instances_say() {
        let (well, ill) = (("root", "#access Instance correctly started"), ("a", "#error no\nend"));
        assert_eq!(tree(None).status(), "unsupported");
        assert_eq!((tree(Some(&[])).status(), tree(Some(&[])).reported()), ("none", None));
        assert_eq!(tree(Some(&[well])).status(), "green");
        assert_eq!(tree(Some(&[ill])).status(), "red");
        let both = tree(Some(&[ill, well]));
        assert_eq!((both.status(), both.reported()), ("orange", Some(("started", ""))));
        assert_eq!(both.broken_members().collect::<Vec<_>>(), [("a", "no\nend")]);
        let root = tree(Some(&[("root", "#error Promise 'x' failed")]));
        assert_eq!(root.reported(), Some(("error", "Promise 'x' failed")));
        assert_eq!(root.broken_members().count(), 0);
    }
}
