//! The recursive half of the resolver: a section needs options, an option needs sections.
//!
//! Invariant: the depth is bounded, so a hostile profile gives an error and not a stack overflow.

use super::*;
use crate::expand::OPTION_BYTES;
use crate::scan::PART_DEPENDENCIES;
use crate::source::Span;

/// One `${section:option}` in a text.
struct Target<'t> {
    section: &'t str,
    option: &'t str,
    section_at: Range<usize>,
    option_at: Range<usize>,
    whole: Range<usize>,
}

impl Resolver<'_> {
    /// As `ensure`, for a section that may not exist.
    pub(super) fn ensure_exists(
        &mut self,
        host: &mut dyn Host,
        section: &str,
    ) -> Result<(), ProfileError> {
        if !self.exists(section) {
            return Err(self.unknown_section(section, None));
        }
        self.ensure(host, section)
    }

    /// Initialises an existing section, unless it is already or is being.
    pub(super) fn ensure(&mut self, host: &mut dyn Host, name: &str) -> Result<(), ProfileError> {
        if self.states.contains_key(name) {
            return Ok(());
        }
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep(name));
        }
        let raw = match self.profile.sections.get(name) {
            Some(_) => Rc::new(self.profile.expand(name)?.into_owned()),
            None => Rc::new(Section::new(Span { file: FileId(0), line: 1 })),
        };
        self.count(raw.options.values().map(|option| option.value.len() + OPTION_BYTES).sum())?;
        let mut resolved = Resolved::default();
        for (option, value) in self.preset.get(name).into_iter().flatten() {
            resolved.options.insert(option.clone(), set_option(value.clone()));
        }
        let state = State { raw: Rc::clone(&raw), resolved, phase: Phase::Substituting };
        self.states.insert(name.to_owned(), state);
        self.active.push(name.to_owned());
        self.depth += 1;
        let result = self.initialise(host, name, &raw);
        self.depth -= 1;
        self.active.pop();
        match &result {
            Ok(()) => self.enter(name, Phase::Ready),
            // Asked again, it must fail again rather than be half there.
            Err(_) => drop(self.states.shift_remove(name)),
        }
        result
    }

    /// Takes note of text that macros or references made.
    fn count(&mut self, bytes: usize) -> Result<(), ProfileError> {
        self.made = self.made.saturating_add(bytes);
        if self.made <= MAX_TEXT {
            return Ok(());
        }
        let message = format!("macros and references make more than {MAX_TEXT} bytes of text");
        Err(ProfileError::new(ErrorKind::TooLarge, message))
    }

    fn enter(&mut self, section: &str, phase: Phase) {
        if let Some(state) = self.states.get_mut(section) {
            state.phase = phase;
        }
    }

    fn initialise(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        raw: &Section,
    ) -> Result<(), ProfileError> {
        let mut options: Vec<&String> = raw.options.keys().collect();
        options.sort_unstable();
        for option in options {
            self.reading(host, name, option, &mut Vec::new())?;
        }
        if let Some(state) = self.states.get_mut(name) {
            let written = |option: &String| raw.options.get_index_of(option).unwrap_or(usize::MAX);
            state.resolved.options.sort_by_key(|option, _| written(option));
            state.phase = Phase::Substituted;
        }
        if name == "buildout" {
            return Ok(());
        }
        let read = |option| self.get(name).and_then(|s| s.get(option)).unwrap_or("").to_owned();
        let (dependencies, recipe) = (read(PART_DEPENDENCIES), read("recipe"));
        for dependency in dependencies.split_whitespace() {
            self.section_named_in(host, dependency, name, PART_DEPENDENCIES)?;
        }
        if !recipe.trim().is_empty() {
            host.initialise(self, name).map_err(|e| e.located(&self.profile))?;
            self.order.push(name.to_owned());
        }
        Ok(())
    }

    /// The escaped text of an option of a section that is initialised or being so.
    pub(super) fn reading(
        &mut self,
        host: &mut dyn Host,
        section: &str,
        option: &str,
        chain: &mut Vec<Link>,
    ) -> Result<Option<String>, ProfileError> {
        let Some(state) = self.states.get(section) else {
            return Ok(None);
        };
        if let Some(known) = state.resolved.options.get(option) {
            return Ok(Some(known.escaped().to_owned()));
        }
        if !matches!(state.phase, Phase::Substituting) {
            return Ok(None);
        }
        let raw = Rc::clone(&state.raw);
        let Some(value) = raw.options.get(option) else {
            return Ok(None);
        };
        let text = if reference::needs_substitution(&value.value) {
            if let Some(start) =
                chain.iter().position(|l| l.section == section && l.option == option)
            {
                return Err(self.circular(&chain[start..]));
            }
            if self.depth >= MAX_DEPTH {
                return Err(self.too_deep(section));
            }
            chain.push(Link { section: section.into(), option: option.into(), site: 0..0 });
            self.depth += 1;
            let origin = Origin::Value(value);
            let text = self.substituted(host, section, &value.value, &origin, chain);
            self.depth -= 1;
            let text = text.map_err(|error| self.inherited(error, section, option, value.span))?;
            chain.pop();
            text
        } else {
            value.value.clone()
        };
        if let Some(state) = self.states.get_mut(section) {
            let resolved = ResolvedOption::from_escaped(text.clone(), Some(value.span));
            state.resolved.options.entry(option.to_owned()).or_insert(resolved);
        }
        Ok(Some(text))
    }

    /// `error`, which arose in an option of `section`; if a macro gave it that option, this is not
    /// the section that the line shows.
    fn inherited(
        &self,
        error: ProfileError,
        section: &str,
        option: &str,
        span: Span,
    ) -> ProfileError {
        match self.profile.section_at(span).filter(|writer| *writer != section) {
            // A cycle names all sections by itself.
            Some(writer) if error.kind() != ErrorKind::CircularReference => {
                error.needed_by(|| format!("[{section}] has `{option}` from its macro [{writer}]"))
            }
            _ => error,
        }
    }

    /// A text with its references replaced, escapes kept.
    pub(super) fn substituted(
        &mut self,
        host: &mut dyn Host,
        owner: &str,
        text: &str,
        origin: &Origin<'_>,
        chain: &mut Vec<Link>,
    ) -> Result<String, ProfileError> {
        let mut out = String::with_capacity(text.len());
        for piece in reference::split(text) {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Bad { whole, problem } => {
                    let message = format!("the reference {} {problem}", &text[whole.clone()]);
                    let error = ProfileError::new(ErrorKind::BadReference, message)
                        .with_help(Some("write ${section:option} or ${:option}".to_owned()));
                    return Err(self.show(error, self.place_in(origin, whole)));
                }
                Piece::Reference { section, option, whole } => {
                    let target = Target {
                        section: &text[section.clone()],
                        option: &text[option.clone()],
                        section_at: section,
                        option_at: option,
                        whole,
                    };
                    let value = self.referenced(host, owner, &target, origin, chain)?;
                    self.count(value.len())
                        .map_err(|error| self.show(error, self.place_in(origin, target.whole)))?;
                    out.push_str(&value);
                }
            }
        }
        Ok(out)
    }

    fn referenced(
        &mut self,
        host: &mut dyn Host,
        owner: &str,
        target: &Target<'_>,
        origin: &Origin<'_>,
        chain: &mut Vec<Link>,
    ) -> Result<String, ProfileError> {
        let section = if target.section.is_empty() { owner } else { target.section };
        if !self.exists(section) {
            let at = self.place_in(origin, target.section_at.clone());
            return Err(self.unknown_section(section, at));
        }
        self.note_reference(owner, section);
        self.ensure(host, section).map_err(|error| {
            // A cycle tells who needs whom by itself.
            if error.kind() == ErrorKind::CircularReference {
                return error;
            }
            let site = self.place_in(origin, target.whole.clone());
            error.needed_by(|| needed(section, owner, site.as_ref()))
        })?;
        if let Some(link) = chain.last_mut() {
            link.site = target.whole.clone();
        }
        match self.reading(host, section, target.option, chain)? {
            Some(value) => Ok(value),
            // As in Buildout: the section that asks, whichever section it names.
            None if target.option == "_buildout_section_name_" => Ok(owner.to_owned()),
            None => {
                let at = self.place_in(origin, target.option_at.clone());
                Err(self.unknown_option(section, target.option, at))
            }
        }
    }
}

fn needed(section: &str, owner: &str, site: Option<&Shown>) -> String {
    let at =
        site.map_or_else(String::new, |(place, _)| format!(" at {}:{}", place.name, place.line));
    format!("[{section}] is needed by [{owner}]{at}")
}
