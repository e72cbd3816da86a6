//! Sections that a recipe adds to a profile while it is resolved.

use crate::error::{ErrorKind, ProfileError};
use crate::merge::merge;
use crate::model::{Map, Profile, Section};
use crate::scan::scan;

impl Profile {
    /// This profile with the sections of `text` added, and their names. Conditions of sections hold
    /// as in the profile; `extends` has no meaning here and is refused.
    ///
    /// # Errors
    /// When the text is no profile, or one of its sections is there already.
    pub(crate) fn grown(
        &self,
        name: &str,
        text: &str,
    ) -> Result<(Self, Vec<String>), ProfileError> {
        let mut grown = self.clone();
        let file = grown.sources.add(name.to_owned(), None, text, None);
        let text = grown.sources.text(file);
        let scanned = scan(&grown.sources, file, &text, &grown.environment)?;
        let mut added: Map<String, Section> = Map::default();
        merge(&mut added, scanned);
        for (section, content) in &added {
            if self.sections.contains_key(section) {
                let message = format!("there is a section [{section}] already");
                let error = ProfileError::new(ErrorKind::Custom, message);
                return Err(error.at(&grown.sources, content.header, 1..1 + section.len()));
            }
        }
        let names = added.keys().cloned().collect();
        grown.sections.extend(added);
        grown.order.push(file);
        Ok((grown, names))
    }
}
