//! `slapos.cookbook:slapconfiguration.jsonschema`: what the Master says of this instance, with
//! parameters that are what the Software Release's JSON schemas want.
//!
//! Options, besides those of `slapconfiguration`:
//! - `jsonschema`: path of the release's `software.cfg.json` (`.json` is added if it is missing,
//!   `file://` may precede it). Its `software-type` names the schema (`request`) of each type, or,
//!   with `shared`, of its shared instances; `serialisation` (`xml` or `json-in-xml`, of the type
//!   or of the whole) says whether parameters are texts or the JSON of parameter `_`;
//! - `validate-parameters` (default `all`), `set-default` (`none`), `unstringify` (`none`),
//!   `report-error` (`all`): each `all`, `main` (the instance), `shared` (its shared instances) or
//!   `none`. `set-default` sets missing properties to the schema's defaults; `unstringify` takes
//!   texts of integers and booleans (`True`, `False`) for such where the schema wants one. Both
//!   need validation of the same kind, and follow only those schemas that the parameters meet;
//! - `unwrap-shared`: unless `false`, `no` or `0`, the parameters of shared instances that are not
//!   validated are taken out of the JSON.
//!
//! Sets what `slapconfiguration` sets, from parameters that are validated and completed. With
//! shared instances validated, `slave-instance-list` is not set, but `valid-shared-instance-list`
//! and `invalid-shared-instance-list`: `{'reference', 'parameters'}`, and `errors` in the latter.
//!
//! Parameters of the instance that do not meet their schema fail it, and so are reported to the
//! Master as every failure is, also with `report-error = none`. Shared instances that do not are
//! reported as warnings of the run, since there is no door to the Master for each of them.
//! Schemas are read from files only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_slap::{ComputerPartition, PartitionPort};

use super::release::Release;
use super::schema::{self, Changes, Schema};
use super::{of_json, port, set_configuration, set_partition};
use crate::common::{self, Literal};
use crate::jinja::json;

/// The recipe.
pub(crate) struct Validated {
    slap: Option<Arc<dyn PartitionPort>>,
}

impl Validated {
    pub(crate) fn new(slap: Option<Arc<dyn PartitionPort>>) -> Self {
        Self { slap }
    }
}

impl Recipe for Validated {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let partition = port(self.slap.as_ref(), init)?.partition().clone();
        let wanted = Wanted::read(init)?;
        let text = init.require("jsonschema")?;
        let path = text.trim();
        let path = common::path(init, path.strip_prefix("file://").unwrap_or(path));
        let bad = |init: &PartInit<'_>, message: String| init.error("jsonschema", &message, None);
        set_partition(init, &partition)?;
        let (main, shared) =
            wanted.parameters(&path, &partition).map_err(|message| bad(init, message))?;
        set_configuration(init, &of_json(&main));
        let mut warnings = Vec::new();
        match shared {
            Shared::AsTheyAre(list) => {
                init.set("slave-instance-list", &literal_list(&list).to_option());
            }
            Shared::Validated { valid, invalid } => {
                init.set("valid-shared-instance-list", &literal_list(&valid).to_option());
                init.set("invalid-shared-instance-list", &literal_list(&invalid).to_option());
                if wanted.report.shared {
                    warnings = invalid.iter().map(warning).collect();
                }
            }
        }
        Ok(Box::new(Reported(warnings)))
    }
}

fn literal_list(list: &[Value]) -> Literal {
    Literal::List(list.iter().map(of_json).collect())
}

fn warning(invalid: &Value) -> String {
    let text = |name: &str| invalid.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("invalid parameters of shared instance {}:\n{}", text("reference"), text("errors"))
}

/// Whether something is done for the instance, and for its shared instances.
#[derive(Debug, Clone, Copy)]
struct Whom {
    main: bool,
    shared: bool,
}

impl Whom {
    fn read(init: &PartInit<'_>, option: &str, default: &str) -> Result<Self, ProfileError> {
        match init.get(option).unwrap_or(default) {
            "all" => Ok(Self { main: true, shared: true }),
            "main" => Ok(Self { main: true, shared: false }),
            "shared" => Ok(Self { main: false, shared: true }),
            "none" => Ok(Self { main: false, shared: false }),
            other => {
                let message =
                    format!("`{option}` must be `all`, `main`, `shared` or `none`, not `{other}`");
                Err(init.error(option, &message, None))
            }
        }
    }
}

/// What the options ask for.
struct Wanted {
    validate: Whom,
    defaults: Whom,
    unstringify: Whom,
    report: Whom,
    unwrap_shared: bool,
}

/// The shared instances.
enum Shared {
    AsTheyAre(Vec<Value>),
    Validated { valid: Vec<Value>, invalid: Vec<Value> },
}

impl Wanted {
    fn read(init: &PartInit<'_>) -> Result<Self, ProfileError> {
        let unwrap = init.get("unwrap-shared").unwrap_or("true").to_ascii_lowercase();
        Ok(Self {
            validate: Whom::read(init, "validate-parameters", "all")?,
            defaults: Whom::read(init, "set-default", "none")?,
            unstringify: Whom::read(init, "unstringify", "none")?,
            report: Whom::read(init, "report-error", "all")?,
            unwrap_shared: !["false", "0", "no"].contains(&unwrap.as_str()),
        })
    }

    fn parameters(
        &self,
        path: &Path,
        partition: &ComputerPartition,
    ) -> Result<(Value, Shared), String> {
        let release = Release::read(path, &partition.software_type)?;
        let is_json = release.is_json_in_xml()?;
        let plain = partition.parameters.iter();
        let plain = plain.map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        let mut main = Value::Object(plain);
        if is_json {
            main = unwrapped(main).map_err(|why| format!("the instance's parameter {why}"))?;
        }
        if self.validate.main {
            main = schema::object(main);
            let changes =
                Changes { defaults: self.defaults.main, unstringify: self.unstringify.main };
            let errors = release.main_schema()?.check(&mut main, changes)?;
            if !errors.is_empty() {
                return Err(format!("the instance has invalid parameters:\n{}", indented(&errors)));
            }
        }
        let list = shared_instances(partition)?;
        let shared = match self.validate.shared {
            true => self.validated(&release, list)?,
            false if is_json && self.unwrap_shared => {
                Shared::AsTheyAre(list.into_iter().map(merged).collect::<Result<_, _>>()?)
            }
            false => Shared::AsTheyAre(list),
        };
        Ok((main, shared))
    }

    fn validated(&self, release: &Release, list: Vec<Value>) -> Result<Shared, String> {
        let (mut valid, mut invalid) = (Vec::new(), Vec::new());
        let schema = match list.is_empty() {
            true => None,
            false => Some(release.shared_schema()?),
        };
        for mut instance in list {
            let reference = instance.as_object_mut().and_then(|o| o.remove("slave_reference"));
            let mut item = serde_json::Map::new();
            item.insert("reference".to_owned(), reference.unwrap_or_default());
            let (parameters, errors) = self.checked(schema.as_ref(), instance)?;
            item.insert("parameters".to_owned(), parameters);
            if errors.is_empty() {
                valid.push(Value::Object(item));
            } else {
                item.insert("errors".to_owned(), indented(&errors).into());
                invalid.push(Value::Object(item));
            }
        }
        Ok(Shared::Validated { valid, invalid })
    }

    /// The parameters of a shared instance, and what is wrong with them. One that sends no JSON
    /// is invalid, and no reason to fail all others.
    fn checked(
        &self,
        schema: Option<&Schema>,
        instance: Value,
    ) -> Result<(Value, Vec<String>), String> {
        let mut parameters = match unwrapped(instance.clone()) {
            Ok(parameters) => parameters,
            Err(why) => return Ok((instance, vec![format!("$: parameter {why}")])),
        };
        let changes =
            Changes { defaults: self.defaults.shared, unstringify: self.unstringify.shared };
        let errors = match schema {
            Some(schema) => schema.check(&mut parameters, changes)?,
            None => Vec::new(),
        };
        Ok((parameters, errors))
    }
}

/// The JSON of the parameter `_`; without one, the parameters as they are.
fn unwrapped(parameters: Value) -> Result<Value, String> {
    match parameters.get("_") {
        None => Ok(parameters),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| format!("`_` is no JSON: {error}"))
        }
        Some(other) => Err(format!("`_` is {other}, no text of JSON")),
    }
}

/// A shared instance whose parameters in JSON are beside what the Master says of it.
fn merged(instance: Value) -> Result<Value, String> {
    let Value::Object(mut entry) = instance else { return Ok(instance) };
    let payload = match entry.remove("_") {
        Some(Value::String(text)) => serde_json::from_str(&text)
            .map_err(|error| format!("parameter `_` of a shared instance is no JSON: {error}"))?,
        other => other.unwrap_or_default(),
    };
    if let Value::Object(pairs) = payload {
        for (name, value) in pairs {
            entry.entry(name).or_insert(value);
        }
    }
    Ok(Value::Object(entry))
}

/// The shared instances as the Master describes them.
fn shared_instances(partition: &ComputerPartition) -> Result<Vec<Value>, String> {
    let list = Literal::List(partition.slave_instance_list.iter().map(super::slave).collect());
    let text = json::of_literal(&list);
    serde_json::from_str(&text).map_err(|error| format!("the shared instances: {error}"))
}

fn indented(errors: &[String]) -> String {
    errors.iter().map(|error| format!("  {error}")).collect::<Vec<_>>().join("\n")
}

/// The part: options, and what must be said of the shared instances.
struct Reported(Vec<String>);

impl Part for Reported {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        for warning in &self.0 {
            cx.warn(warning);
        }
        Ok(Vec::new())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
