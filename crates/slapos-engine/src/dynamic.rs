//! What a recipe may do besides reading and setting its own options, because Buildout's recipes do:
//! change other sections, add new ones, hide or add dependencies. For recipes of another language;
//! a native recipe that needs any of this is badly designed.

use std::collections::BTreeSet;

use slapos_profile::ProfileError;

use crate::cancel::Cancellation;
use crate::recipe::PartInit;

/// What [`PartInit`] needs from the engine for this room.
pub(crate) trait DynamicPort {
    fn section_names(&self) -> Vec<String>;
    fn references(&self, section: &str) -> BTreeSet<String>;
    fn set_references(&mut self, section: &str, references: BTreeSet<String>);
    fn barrier(&mut self, section: &str);
    fn parse(&mut self, from: &str, text: &str) -> Result<Vec<String>, ProfileError>;
    fn substitute(&mut self, section: &str, text: &str) -> Result<String, ProfileError>;
    fn set_variable(&mut self, name: &str, value: Option<&str>);
    fn keep_sections(&mut self);
    fn hold_shared(&self);
    fn lines(&self, section: &str, option: &str) -> Option<(String, u32)>;
    fn say(&mut self, section: &str, text: &str);
    fn run_number(&self) -> u64;
    fn cancellation(&self) -> &Cancellation;
    fn tag(&self, section: &str) -> (&'static str, String);
}

impl PartInit<'_> {
    /// Names of all sections, in the order of the profile.
    pub fn section_names(&self) -> Vec<String> {
        self.port.section_names()
    }

    /// Sets an option of any section to exactly this text. Before the initialisation of the section
    /// this overrides what the profile says; a section that is not there is created.
    pub fn set_in(&mut self, section: &str, option: &str, value: &str) {
        self.port.set(section, option, value);
    }

    /// The sections that this one depends on directly, as known now.
    pub fn references(&self) -> BTreeSet<String> {
        self.port.references(self.name)
    }

    /// Replaces the sections that this one depends on: those left out no longer count.
    pub fn set_references(&mut self, references: BTreeSet<String>) {
        self.port.set_references(self.name, references);
    }

    /// Has every part whose recipe is asked after now depend on this one.
    pub fn barrier(&mut self) {
        self.port.barrier(self.name);
    }

    /// Adds the sections of a text in the language of profiles, and initialises them. Returns their
    /// names.
    ///
    /// # Errors
    /// When the text is wrong, a section exists already, or one cannot be initialised.
    pub fn parse(&mut self, text: &str) -> Result<Vec<String>, ProfileError> {
        self.port.parse(self.name, text)
    }

    /// Substitutes `${section:option}` in `text` as in an option of this section; `$$` stays.
    ///
    /// # Errors
    /// As for options.
    pub fn substitute(&mut self, text: &str) -> Result<String, ProfileError> {
        self.port.substitute(self.name, text)
    }

    /// Sets or removes a variable of the environment of all parts.
    pub fn set_variable(&mut self, name: &str, value: Option<&str>) {
        self.port.set_variable(name, value);
    }

    /// Says that the part reads options of other sections while it is installed or updated:
    /// [`crate::PartContext::section`] then has them.
    pub fn keep_sections(&mut self) {
        self.port.keep_sections();
    }

    /// Keeps what is in the lists of shared parts where it is until the run ends, for a part that uses
    /// something there that is no shared part.
    pub fn hold_shared(&self) {
        self.port.hold_shared();
    }

    /// Where the text of an option of this section stands: a file, and the number of its first line
    /// there. `None` unless its lines are lines of one file, in order.
    pub fn lines(&self, option: &str) -> Option<(String, u32)> {
        self.port.lines(self.name, option)
    }

    /// Tells people, with the plan, what the recipe said while `part` was initialised: one line.
    pub fn say(&mut self, part: &str, text: &str) {
        self.port.say(part, text);
    }

    /// How the run is told to stop, for a recipe that waits for something of its own.
    pub fn cancellation(&self) -> &Cancellation {
        self.port.cancellation()
    }

    /// The variable by which what this part starts is found should its run be cut short.
    pub fn tag(&self) -> (&'static str, String) {
        self.port.tag(self.name)
    }

    /// A number that is the same for all parts of one plan, and for no others in this process.
    pub fn run_number(&self) -> u64 {
        self.port.run_number()
    }
}
