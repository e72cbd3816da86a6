//! How this API names instances: title, title of the tree's root, and whether it is a shared one.

use std::fmt;

/// An instance by name. As text its parts are joined by `___`: `title______0` is a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InstanceName {
    pub(super) title: String,
    /// The title of the tree's root; empty for a root.
    pub(super) root: String,
    pub(super) shared: bool,
}

const MARK: &str = "___";

impl InstanceName {
    /// `None` for what is no such name.
    pub(super) fn parse(text: &str) -> Option<InstanceName> {
        let mut parts = text.splitn(3, MARK);
        let (title, root, shared) = (parts.next()?, parts.next()?, parts.next()?);
        let shared: i64 = shared.trim().parse().ok()?;
        Some(InstanceName { title: title.to_owned(), root: root.to_owned(), shared: shared != 0 })
    }

    /// What a shared instance is called on the wire.
    pub(super) fn shared_reference(&self) -> String {
        format!("{}_{}", self.root, self.title)
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{MARK}{}{MARK}{}", self.title, self.root, u8::from(self.shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for text in ["a______0", "a___b___0", "a___b___1", "______1", "a b___c_d___0"] {
            assert_eq!(InstanceName::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "a", "a___b", "a___b___", "a___b___x", "a___b___0___1"] {
            assert_eq!(InstanceName::parse(wrong), None, "{wrong}");
        }
    }
}
