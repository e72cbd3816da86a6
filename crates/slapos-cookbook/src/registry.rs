//! Which recipe has which name.

use std::collections::BTreeMap;
use std::sync::Arc;

use slapos_engine::{Recipe, Recipes};
use slapos_slap::PartitionPort;
use slapos_sources::Fetcher;

use crate::{
    check_port_listening, check_url_available, cmmi, command, download, download_unpacked,
    free_port, jinja, mkdirectory, promise, publish, python_only, slapconfiguration,
    switch_softwaretype, template, wrapper,
};

/// What recipes may use of the world outside their part.
#[derive(Clone)]
pub struct Ports {
    /// Brings the bytes of sources; also reads the files that profiles name.
    pub fetcher: Arc<Fetcher>,
    /// The partition that is being deployed; `None` when a Software Release is built.
    pub slap: Option<Arc<dyn PartitionPort>>,
}

/// All native recipes.
pub struct Registry {
    recipes: BTreeMap<&'static str, Arc<dyn Recipe>>,
}

/// All native recipes, using `ports`.
pub fn registry(ports: Ports) -> Registry {
    let mut recipes: BTreeMap<&'static str, Arc<dyn Recipe>> = BTreeMap::new();
    let Ports { fetcher, slap } = ports;
    recipes.insert("slapos.recipe.cmmi", Arc::new(cmmi::Cmmi::new(fetcher.clone())));
    recipes.insert("slapos.recipe.template", Arc::new(template::Template::new(fetcher.clone())));
    recipes.insert("slapos.recipe.template:jinja2", Arc::new(jinja::Jinja2::new(fetcher.clone())));
    recipes
        .insert("slapos.recipe.build:download", Arc::new(download::Download::new(fetcher.clone())));
    recipes.insert(
        "slapos.recipe.build:download-unpacked",
        Arc::new(download_unpacked::DownloadUnpacked::new(fetcher.clone())),
    );
    recipes.insert("slapos.recipe.build:mkdirectory", Arc::new(mkdirectory::MkDirectory::build()));
    recipes.insert("plone.recipe.command", Arc::new(command::Command));
    recipes.insert("slapos.cookbook:mkdirectory", Arc::new(mkdirectory::MkDirectory::cookbook()));
    recipes.insert("slapos.cookbook:wrapper", Arc::new(wrapper::Wrapper));
    recipes.insert("slapos.cookbook:free_port", Arc::new(free_port::FreePort::default()));
    recipes.insert("slapos.cookbook:promise.plugin", Arc::new(promise::PromisePlugin));
    recipes.insert(
        "slapos.cookbook:check_port_listening",
        Arc::new(check_port_listening::CheckPortListening),
    );
    recipes.insert(
        "slapos.cookbook:check_url_available",
        Arc::new(check_url_available::CheckUrlAvailable),
    );
    add_slap_recipes(&mut recipes, slap.as_ref());
    for name in python_only::NAMES {
        recipes.entry(name).or_insert_with(|| Arc::new(python_only::PythonOnly));
    }
    let others = Registry { recipes: recipes.clone() };
    recipes.insert(
        switch_softwaretype::NAME,
        Arc::new(switch_softwaretype::SwitchSoftwareType::new(fetcher, others)),
    );
    Registry { recipes }
}

fn add_slap_recipes(
    recipes: &mut BTreeMap<&'static str, Arc<dyn Recipe>>,
    slap: Option<&Arc<dyn PartitionPort>>,
) {
    for (name, serialised) in [
        ("slapos.cookbook:slapconfiguration", false),
        ("slapos.cookbook:slapconfiguration.serialised", true),
    ] {
        let recipe = slapconfiguration::SlapConfiguration::new(slap.cloned(), serialised);
        recipes.insert(name, Arc::new(recipe));
    }
    for (name, serialised) in
        [("slapos.cookbook:publish", false), ("slapos.cookbook:publish.serialised", true)]
    {
        recipes.insert(name, Arc::new(publish::Publish::new(slap.cloned(), serialised)));
    }
}

impl Recipes for Registry {
    fn find(&self, name: &str) -> Option<Arc<dyn Recipe>> {
        let name = name.strip_suffix(":default").unwrap_or(name);
        self.recipes.get(name).cloned()
    }

    fn names(&self) -> Vec<&str> {
        self.recipes.keys().copied().filter(|name| !python_only::NAMES.contains(name)).collect()
    }
}
