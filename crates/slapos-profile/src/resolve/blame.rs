//! The errors of the resolver: finding the token to point at and what to propose.

use super::*;

impl Resolver<'_> {
    /// An error about an option, pointing at its value; at the section header if there is no such
    /// option.
    #[must_use]
    pub fn error_at(
        &self,
        section: &str,
        option: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> ProfileError {
        let error = ProfileError::new(ErrorKind::Custom, message).with_help(help);
        self.show(error, self.value_place(section, option))
    }

    /// As [`Resolver::error_at`], pointing at the first place of `word` in the value.
    #[must_use]
    pub fn error_at_word(
        &self,
        section: &str,
        option: &str,
        word: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> ProfileError {
        let error = ProfileError::new(ErrorKind::Custom, message).with_help(help);
        self.show(error, self.word_place(section, option, word))
    }

    /// The line on which an option was last changed, macros applied; `None` for options set by
    /// recipes.
    #[must_use]
    pub fn span(&self, section: &str, option: &str) -> Option<Span> {
        self.written(section)?.options.get(option).map(|value| value.span)
    }

    /// Where the text of an option stands, if each of its lines is a line of one file, in order: the
    /// file, and the number of the first line. `None` for other texts, such as those that references
    /// or `+=` put together.
    #[must_use]
    pub fn lines(&self, section: &str, option: &str) -> Option<(String, u32)> {
        let written = self.written(section)?;
        let value = written.options.get(option)?;
        let (first, _) = value.origin(0);
        let (mut offset, mut count) = (0, 0);
        for line in value.value.split('\n') {
            let (span, _) = value.origin(offset);
            if span.file != first.file || span.line != first.line + count {
                return None;
            }
            offset += line.len() + 1;
            count += 1;
        }
        let text = self.get(section)?.get(option)?;
        let same = text.split('\n').count() == usize::try_from(count).unwrap_or(usize::MAX);
        let place = self.profile.location(first);
        let (file, _) = place.rsplit_once(':').filter(|_| same)?;
        Some((file.to_owned(), first.line))
    }

    pub(super) fn show(&self, error: ProfileError, shown: Option<Shown>) -> ProfileError {
        let Some((place, span)) = shown else {
            return error;
        };
        let chain = span.map(|span| self.profile.sources.extends_chain(span.file));
        chain.into_iter().flatten().fold(error.at_place(place), ProfileError::with_note)
    }

    /// The section with its macros applied, as far as that can be done.
    fn written(&self, section: &str) -> Option<Rc<Section>> {
        match self.states.get(section) {
            Some(state) => Some(Rc::clone(&state.raw)),
            None => Some(Rc::new(self.profile.expand(section).ok()?.into_owned())),
        }
    }

    /// The first line of a value.
    fn value_place(&self, section: &str, option: &str) -> Option<Shown> {
        let written = self.written(section)?;
        let Some(value) = written.options.get(option) else {
            return self.header_place(section);
        };
        let skipped = value.value.len() - value.value.trim_start().len();
        let line = value.value.trim_start().lines().next().unwrap_or("");
        self.place_in(&Origin::Value(value), skipped..skipped + line.len())
    }

    pub(super) fn word_place(&self, section: &str, option: &str, word: &str) -> Option<Shown> {
        let written = self.written(section)?;
        let found = written.options.get(option).and_then(|value| {
            let at = find_word(&value.value, word)?;
            self.place_in(&Origin::Value(value), at..at + word.len())
        });
        found.or_else(|| self.value_place(section, option))
    }

    fn header_place(&self, section: &str) -> Option<Shown> {
        let header = self.profile.sections.get(section)?.header;
        Some((self.profile.sources.place(header, 0..0)?, Some(header)))
    }

    /// Where to point when a recipe asks for something in vain: its section.
    pub(super) fn asking_place(&self) -> Option<Shown> {
        self.header_place(self.active.last()?)
    }

    /// The source of a byte range of a text that is being substituted. A range over several lines
    /// is cut at the end of its first one.
    pub(super) fn place_in(&self, origin: &Origin<'_>, range: Range<usize>) -> Option<Shown> {
        let sources = &self.profile.sources;
        match origin {
            Origin::Value(value) => {
                let (span, column) = value.origin(range.start);
                let text = value.value.get(range).unwrap_or("");
                let length = text.find('\n').unwrap_or(text.len());
                Some((sources.place(span, column..column + length)?, Some(span)))
            }
            Origin::Line(span) => {
                let span = (*span)?;
                Some((sources.place(span, 0..0)?, Some(span)))
            }
            Origin::Named { name, text } => {
                let before = text.get(..range.start)?;
                let line = before.matches('\n').count() + 1;
                let start = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
                let found = text.get(range)?;
                let length = found.find('\n').unwrap_or(found.len());
                let place = Place {
                    name: (*name).to_owned(),
                    text: Arc::clone(text),
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                    start,
                    end: start + length,
                };
                Some((place, None))
            }
        }
    }

    pub(super) fn unknown_section(&self, name: &str, shown: Option<Shown>) -> ProfileError {
        let known = self.profile.sections.keys().chain(self.preset.keys()).map(String::as_str);
        let error =
            ProfileError::new(ErrorKind::UnknownSection, format!("there is no section [{name}]"))
                .label("no such section")
                .with_help(did_you_mean(name, known));
        self.show(error, shown)
    }

    pub(super) fn unknown_option(
        &self,
        section: &str,
        option: &str,
        shown: Option<Shown>,
    ) -> ProfileError {
        let message = format!("section [{section}] has no option `{option}`");
        let known = self.get(section).into_iter().flat_map(|s| s.options.keys());
        let error = ProfileError::new(ErrorKind::UnknownOption, message)
            .label("no such option")
            .with_help(did_you_mean(option, known.map(String::as_str)));
        let state = self.states.get(section);
        let building = state.is_some_and(|state| {
            !matches!(state.phase, Phase::Ready) && state.raw.options.contains_key("recipe")
        });
        let error = if building && error.help().is_none() {
            error.with_help(Some(format!(
                "[{section}] needs this section itself, so its recipe has not set the option yet"
            )))
        } else {
            error
        };
        self.show(error, shown)
    }

    /// The error for a chain of references whose last one leads back to its first option.
    pub(super) fn circular(&self, cycle: &[Link]) -> ProfileError {
        let mut names: Vec<String> =
            cycle.iter().map(|link| format!("{}:{}", link.section, link.option)).collect();
        names.extend(names.first().cloned());
        let message = format!("these options refer to each other: {}", names.join(" -> "));
        let mut error = ProfileError::new(ErrorKind::CircularReference, message)
            .label("leads back to itself")
            .with_help(Some("replace one of these references by a plain value".to_owned()));
        for (pair, link) in names.windows(2).zip(cycle) {
            if let Some((site, _)) = self.link_place(link) {
                let at = format!("{}:{}", site.name, site.line);
                error = error.with_note(format!("{} refers to {} at {at}", pair[0], pair[1]));
            }
        }
        match cycle.last().and_then(|link| self.link_place(link)) {
            Some((place, _)) => error.at_place(place),
            None => error,
        }
    }

    fn link_place(&self, link: &Link) -> Option<Shown> {
        let value = self.states.get(&link.section)?.raw.options.get(&link.option)?;
        self.place_in(&Origin::Value(value), link.site.clone())
    }

    pub(super) fn too_deep(&self, section: &str) -> ProfileError {
        let message = format!("more than {MAX_DEPTH} sections need each other");
        let error = ProfileError::new(ErrorKind::TooDeep, message);
        self.show(error, self.header_place(section))
    }
}

/// The first place of `word` between blanks; else its first place.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let alone = text.match_indices(word).find(|(at, _)| {
        blank(text[..*at].chars().next_back()) && blank(text[at + word.len()..].chars().next())
    });
    alone.map(|(at, _)| at).or_else(|| text.find(word))
}
