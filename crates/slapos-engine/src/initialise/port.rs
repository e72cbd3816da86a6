//! What a recipe may ask while a section is initialised, answered by initialiser and resolver.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_profile::{ProfileError, Resolver};
use slapos_sys::Secret;

use super::{Initialiser, options, references, value};
use crate::build::Settings;
use crate::identity::{BASE_LOCATION, without_base};
use crate::recipe::InitPort;
use crate::shared::{self, SharedPart};

/// Options by which a section says what it makes.
const PRODUCT_OPTIONS: [&str; 4] = ["location", "target", "output", "rendered"];

/// The initialiser and the resolver as one thing that a recipe may use.
pub(super) struct Port<'l, 'h, 'r> {
    pub(super) host: &'l mut Initialiser<'h>,
    pub(super) resolver: &'l mut Resolver<'r>,
}

impl InitPort for Port<'_, '_, '_> {
    fn get(&self, section: &str, option: &str) -> Option<&str> {
        value(self.resolver, section, option)
    }

    fn options(&self, section: &str) -> IndexMap<String, String> {
        options(self.resolver, section)
    }

    fn visit(&mut self, from: &str, section: &str) -> Result<(), ProfileError> {
        self.resolver.section(self.host, section)?;
        if section != from && section != "buildout" {
            self.resolver.note_reference(from, section);
        }
        Ok(())
    }

    fn option(
        &mut self,
        from: &str,
        section: &str,
        option: &str,
    ) -> Result<Option<String>, ProfileError> {
        if section != from {
            self.visit(from, section)?;
        }
        self.resolver.try_option(self.host, section, option)
    }

    fn required(
        &mut self,
        from: &str,
        section: &str,
        option: &str,
    ) -> Result<String, ProfileError> {
        if section != from {
            self.visit(from, section)?;
        }
        self.resolver.option(self.host, section, option)
    }

    fn error_at_word(
        &self,
        section: &str,
        option: &str,
        word: &str,
        message: &str,
        help: Option<&str>,
    ) -> ProfileError {
        let help = help.map(str::to_owned);
        self.resolver.error_at_word(section, option, word, message, help)
    }

    fn set(&mut self, section: &str, option: &str, value: &str) {
        self.resolver.set(section, option, value);
    }

    fn set_secret(&mut self, section: &str, option: &str, value: Secret) {
        self.resolver.set(section, option, value.expose());
        self.host.secrets.add(section, option, value);
    }

    fn is_secret(&self, section: &str, option: &str) -> bool {
        self.host.secrets.holds(section, option)
    }

    fn remove(&mut self, section: &str, option: &str) {
        self.resolver.remove(section, option);
    }

    fn is_begun(&self, section: &str) -> bool {
        self.resolver.get(section).is_some()
    }

    fn explain_missing(&mut self, section: &str, prefix: &str, help: &str) {
        self.host.hints.add(section, prefix, help);
    }

    fn substitute_file(
        &mut self,
        section: &str,
        text: &str,
        name: &str,
    ) -> Result<String, ProfileError> {
        self.resolver.substitute_file(self.host, section, text, name)
    }

    fn error(
        &self,
        section: &str,
        option: &str,
        message: &str,
        help: Option<&str>,
    ) -> ProfileError {
        self.resolver.error_at(section, option, message, help.map(str::to_owned))
    }

    fn previous(&self, section: &str, option: &str) -> Option<&str> {
        self.host.ledger.parts.get(section)?.option(option)
    }

    fn made_by(&self, section: &str, path: &Path) -> bool {
        references(self.resolver, section).iter().any(|other| {
            PRODUCT_OPTIONS.iter().any(|option| {
                let product = value(self.resolver, other, option);
                product.is_some_and(|product| !product.is_empty() && path.starts_with(product))
            })
        })
    }

    fn add_input(&mut self, section: &str, name: &str, digest: &str) {
        let extras = self.host.extras.entry(section.to_owned()).or_default();
        extras.inputs.insert(name.to_owned(), digest.to_owned());
    }

    fn shared_location(&mut self, section: &str) -> Result<Option<PathBuf>, ProfileError> {
        match value(self.resolver, section, "shared").unwrap_or("false") {
            "true" => {}
            "false" => return Ok(None),
            other => {
                let message = format!("`shared` must be `true` or `false`, not `{other}`");
                return Err(self.error(section, "shared", &message, None));
            }
        }
        let fingerprint = self.host.fingerprint(self.resolver, section, &mut Vec::new());
        let mut made_of = format!("{}-{}", fingerprint.recipe, fingerprint.recipe_version);
        for (other, identity) in &fingerprint.references {
            made_of.push_str(&format!(" {other}:{identity}"));
        }
        let base = fingerprint.options.get(BASE_LOCATION);
        for (input, digest) in &fingerprint.inputs {
            made_of.push_str(&format!(" {}:{digest}", without_base(input, base)));
        }
        let signature = shared::signature(&fingerprint.options, &made_of);
        self.host.holds.take(&self.host.shared_lists, &self.host.settings.cancellation);
        let found = SharedPart::find(&self.host.shared_lists, section, signature);
        let location = found.as_ref().map(|shared| shared.location.clone());
        if let Some(location) = &location {
            self.resolver.set(section, "location", location.to_string_lossy());
        }
        self.host.extras.entry(section.to_owned()).or_default().shared = found;
        Ok(location)
    }

    fn look(&mut self, section: &str) -> Result<IndexMap<String, String>, ProfileError> {
        self.resolver.look(self.host, section)?;
        Ok(options(self.resolver, section))
    }

    fn shared_lists(&self) -> &[PathBuf] {
        &self.host.shared_lists
    }

    fn jobs(&self) -> usize {
        self.host.settings.jobs
    }

    fn directory(&self) -> &Path {
        &self.host.settings.directory
    }

    fn offline(&self) -> bool {
        self.host.offline
    }

    fn exists(&self, section: &str) -> bool {
        self.resolver.exists(section)
    }

    fn nested_settings(&self, section: &str) -> Option<Settings> {
        let mut settings = self.host.settings.nested(section)?;
        settings.shared_part_list = self.host.shared_lists.clone();
        settings.offline = self.host.offline;
        Some(settings)
    }
}
