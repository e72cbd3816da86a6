//! How this API names instances: title, title of the tree's root, whether it is a shared one and, which
//! the original does not have, the project.

use std::fmt;

/// An instance by name. As text its parts are joined by `___`: `title______0` is a root, and
/// `title______0___sales` one of the project `sales`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InstanceName {
    pub(super) title: String,
    /// The title of the tree's root; empty for a root.
    pub(super) root: String,
    pub(super) shared: bool,
    /// Where nothing is said, whichever the caller may see.
    pub(super) project: Option<String>,
}

const MARK: &str = "___";

impl InstanceName {
    /// `None` for what is no such name.
    pub(super) fn parse(text: &str) -> Option<InstanceName> {
        let mut parts = text.splitn(4, MARK);
        let (title, root, shared) = (parts.next()?, parts.next()?, parts.next()?);
        let shared: i64 = shared.trim().parse().ok()?;
        let project = parts.next().map(str::to_owned);
        if project.as_ref().is_some_and(String::is_empty) {
            return None;
        }
        let (title, root) = (title.to_owned(), root.to_owned());
        Some(InstanceName { title, root, shared: shared != 0, project })
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{MARK}{}{MARK}{}", self.title, self.root, u8::from(self.shared))?;
        match &self.project {
            Some(project) => write!(f, "{MARK}{project}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for text in
            ["a______0", "a___b___0", "a___b___1", "______1", "a b___c_d___0", "a______0___p_q"]
        {
            assert_eq!(InstanceName::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "a", "a___b", "a___b___", "a___b___x", "a___b___0___"] {
            assert_eq!(InstanceName::parse(wrong), None, "{wrong}");
        }
    }
}
