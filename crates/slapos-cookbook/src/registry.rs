//! Which recipe has which name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use slapos_engine::{Recipe, Recipes};
use slapos_slap::PartitionPort;
use slapos_sources::Fetcher;

use crate::python::{Foreign, Python};
use crate::{
    authorized_key, certificate_authority, check_parameter, check_port_listening,
    check_url_available, cmmi, collective_template, command, copyfilelist, cron, download,
    download_unpacked, egg, equeue, free_port, generate_mac, generate_password, gitclone, jinja,
    jsondump, kumofs, logrotate, mkdirectory, mysql_update, postgres, promise, publish,
    publish_early, random, readline, redis, request, script, shell, simplehttpserver, simplelogger,
    six_tunnel, slapconfiguration, sshkeys_authority, switch_softwaretype, symbolic_link, template,
    tidstorage, urlparse, userinfo, wrapper, zero_knowledge,
};

/// What recipes may use of the world outside their part.
#[derive(Clone)]
pub struct Ports {
    /// Brings the bytes of sources; also reads the files that profiles name.
    pub fetcher: Arc<Fetcher>,
    /// The partition that is being deployed; `None` when a Software Release is built.
    pub slap: Option<Arc<dyn PartitionPort>>,
    /// The Python of the host that runs other recipes; `None` for the machine's `python3`.
    pub python: Option<PathBuf>,
}

/// All native recipes; every other name stands for one of a Python distribution.
pub struct Registry {
    recipes: BTreeMap<&'static str, Arc<dyn Recipe>>,
    python: Python,
    shop: Arc<egg::Shop>,
}

/// All recipes, using `ports`.
pub fn registry(ports: Ports) -> Registry {
    let mut recipes: BTreeMap<&'static str, Arc<dyn Recipe>> = BTreeMap::new();
    let Ports { fetcher, slap, python } = ports;
    let python = Python::new(python, fetcher.clone());
    recipes
        .insert("slapos.recipe.cmmi", Arc::new(cmmi::Cmmi::new(fetcher.clone(), python.clone())));
    let script = script::Script::new(python.clone());
    recipes.insert("slapos.recipe.build", Arc::new(script));
    recipes.insert("slapos.recipe.template", Arc::new(template::Template::new(fetcher.clone())));
    recipes.insert("slapos.recipe.template:jinja2", Arc::new(jinja::Jinja2::new(python.clone())));
    recipes
        .insert("slapos.recipe.build:download", Arc::new(download::Download::new(fetcher.clone())));
    recipes.insert(
        "slapos.recipe.build:download-unpacked",
        Arc::new(download_unpacked::DownloadUnpacked::new(fetcher.clone())),
    );
    recipes.insert("slapos.recipe.build:mkdirectory", Arc::new(mkdirectory::MkDirectory));
    recipes.insert("plone.recipe.command", Arc::new(command::Command));
    recipes.insert("slapos.cookbook:mkdirectory", Arc::new(mkdirectory::MkDirectory));
    recipes.insert("slapos.cookbook:wrapper", Arc::new(wrapper::Wrapper));
    recipes.insert("slapos.cookbook:free_port", Arc::new(free_port::FreePort::default()));
    recipes.insert(
        "slapos.cookbook:promise.plugin",
        Arc::new(promise::PromisePlugin::new(python.clone())),
    );
    recipes.insert(
        "slapos.cookbook:check_port_listening",
        Arc::new(check_port_listening::CheckPortListening),
    );
    recipes.insert(
        "slapos.cookbook:check_url_available",
        Arc::new(check_url_available::CheckUrlAvailable),
    );
    recipes.insert(
        "collective.recipe.template",
        Arc::new(collective_template::CollectiveTemplate::new(fetcher.clone())),
    );
    recipes.insert("slapos.recipe.build:gitclone", Arc::new(gitclone::GitClone));
    let shop = egg::Shop::new(python.fetcher().clone(), python.eggs().clone());
    add_egg_recipes(&mut recipes, &shop);
    add_value_recipes(&mut recipes);
    add_file_recipes(&mut recipes);
    add_server_recipes(&mut recipes);
    add_slap_recipes(&mut recipes, slap.as_ref());
    let others = Registry { recipes: recipes.clone(), python: python.clone(), shop: shop.clone() };
    recipes.insert(
        switch_softwaretype::NAME,
        Arc::new(switch_softwaretype::SwitchSoftwareType::new(fetcher, others)),
    );
    Registry { recipes, python, shop }
}

/// Recipes of Python distributions.
fn add_egg_recipes(recipes: &mut BTreeMap<&'static str, Arc<dyn Recipe>>, shop: &Arc<egg::Shop>) {
    for (name, scripts) in [
        ("zc.recipe.egg", true),
        ("zc.recipe.egg:scripts", true),
        ("zc.recipe.egg:script", true),
        ("zc.recipe.egg:eggs", false),
    ] {
        recipes.insert(name, Arc::new(egg::Distributions::new(shop.clone(), scripts)));
    }
    recipes.insert("zc.recipe.egg:custom", Arc::new(egg::Custom(shop.clone())));
    recipes.insert("zc.recipe.egg:develop", Arc::new(egg::Develop(shop.clone())));
}

/// Recipes that give options.
fn add_value_recipes(recipes: &mut BTreeMap<&'static str, Arc<dyn Recipe>>) {
    recipes
        .insert("slapos.cookbook:generate.password", Arc::new(generate_password::GeneratePassword));
    recipes.insert("slapos.cookbook:generate.mac", Arc::new(generate_mac::GenerateMac));
    recipes.insert("slapos.cookbook:random.integer", Arc::new(random::Integer));
    recipes.insert("slapos.cookbook:random.time", Arc::new(random::Time));
    recipes.insert("slapos.cookbook:readline", Arc::new(readline::ReadLine));
    recipes.insert("slapos.cookbook:urlparse", Arc::new(urlparse::UrlParse));
    recipes.insert("slapos.cookbook:userinfo", Arc::new(userinfo::UserInfo));
}

/// Recipes that start servers.
fn add_server_recipes(recipes: &mut BTreeMap<&'static str, Arc<dyn Recipe>>) {
    let servers: [(&'static str, Arc<dyn Recipe>); 13] = [
        (
            "slapos.cookbook:certificate_authority",
            Arc::new(certificate_authority::CertificateAuthority),
        ),
        ("slapos.cookbook:certificate_authority.request", Arc::new(certificate_authority::Request)),
        ("slapos.cookbook:equeue", Arc::new(equeue::Equeue)),
        ("slapos.cookbook:generic.kumofs", Arc::new(kumofs::Kumofs)),
        ("slapos.cookbook:generic.mysql.wrap_update_mysql", Arc::new(mysql_update::UpdateMysql)),
        ("slapos.cookbook:ipv4toipv6", Arc::new(six_tunnel::SixTunnel { from_ipv6: false })),
        ("slapos.cookbook:ipv6toipv4", Arc::new(six_tunnel::SixTunnel { from_ipv6: true })),
        ("slapos.cookbook:postgres", Arc::new(postgres::Postgres)),
        ("slapos.cookbook:redis.server", Arc::new(redis::RedisServer)),
        ("slapos.cookbook:simplehttpserver", Arc::new(simplehttpserver::SimpleHttpServer)),
        ("slapos.cookbook:sshkeys_authority", Arc::new(sshkeys_authority::SshKeysAuthority)),
        ("slapos.cookbook:sshkeys_authority.request", Arc::new(sshkeys_authority::Request)),
        ("slapos.cookbook:tidstorage", Arc::new(tidstorage::TidStorage)),
    ];
    recipes.extend(servers);
}

/// Recipes that write files of an instance.
fn add_file_recipes(recipes: &mut BTreeMap<&'static str, Arc<dyn Recipe>>) {
    recipes.insert("slapos.cookbook:check_parameter", Arc::new(check_parameter::CheckParameter));
    recipes.insert("slapos.cookbook:copyfilelist", Arc::new(copyfilelist::CopyFileList));
    recipes.insert("slapos.cookbook:cron", Arc::new(cron::Cron));
    recipes.insert("slapos.cookbook:cron.d", Arc::new(cron::CronEntry));
    recipes.insert(
        "slapos.cookbook:dropbear.add_authorized_key",
        Arc::new(authorized_key::AddAuthorizedKey),
    );
    recipes.insert("slapos.cookbook:zero-knowledge.read", Arc::new(zero_knowledge::Read));
    recipes.insert("slapos.cookbook:zero-knowledge.write", Arc::new(zero_knowledge::Write));
    recipes.insert("slapos.cookbook:jsondump", Arc::new(jsondump::JsonDump));
    recipes.insert("slapos.cookbook:logrotate", Arc::new(logrotate::Logrotate));
    recipes.insert("slapos.cookbook:logrotate.d", Arc::new(logrotate::LogrotateEntry));
    recipes.insert("slapos.cookbook:shell", Arc::new(shell::Shell));
    recipes.insert("slapos.cookbook:simplelogger", Arc::new(simplelogger::SimpleLogger));
    recipes.insert("slapos.cookbook:symbolic.link", Arc::new(symbolic_link::SymbolicLink));
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
    recipes.insert(
        "slapos.cookbook:slapconfiguration.jsonschema",
        Arc::new(slapconfiguration::Validated::new(slap.cloned())),
    );
    for (name, serialised) in
        [("slapos.cookbook:publish", false), ("slapos.cookbook:publish.serialised", true)]
    {
        recipes.insert(name, Arc::new(publish::Publish::new(slap.cloned(), serialised)));
    }
    for (name, serialised, optional) in [
        ("slapos.cookbook:request", false, false),
        ("slapos.cookbook:request.serialised", true, false),
        ("slapos.cookbook:requestoptional", false, true),
        ("slapos.cookbook:requestoptional.serialised", true, true),
    ] {
        let recipe = request::Request::new(slap.cloned(), serialised, optional);
        recipes.insert(name, Arc::new(recipe));
    }
    for (name, serialised) in [
        ("slapos.cookbook:publish_failsafe", false),
        ("slapos.cookbook:publish.serialised_failsafe", true),
    ] {
        let recipe = publish::Publish::new(slap.cloned(), serialised).failsafe();
        recipes.insert(name, Arc::new(recipe));
    }
    let early = publish_early::PublishEarly::new(slap.cloned());
    recipes.insert("slapos.cookbook:publish-early", Arc::new(early));
}

impl Recipes for Registry {
    fn find(&self, name: &str) -> Option<Arc<dyn Recipe>> {
        let plain = name.strip_suffix(":default").unwrap_or(name);
        if let Some(native) = self.recipes.get(plain) {
            return Some(native.clone());
        }
        let is_name = plain.starts_with(|c: char| c.is_ascii_alphanumeric());
        is_name.then(|| {
            let natives = self.recipes.keys().copied().collect();
            Arc::new(Foreign::new(name, self.python.clone(), natives)) as Arc<dyn Recipe>
        })
    }

    fn names(&self) -> Vec<&str> {
        self.recipes.keys().copied().collect()
    }

    fn conclude(&self) -> Vec<String> {
        self.shop.conclude()
    }
}
