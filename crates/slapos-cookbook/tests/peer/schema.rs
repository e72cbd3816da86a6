//! Parameters checked and completed by the original and by ours, with the same schemas: what is
//! refused is the same, and so is what becomes of the others.

use std::fs;
use std::net::Ipv4Addr;

use indexmap::IndexMap;
use serde_json::{Value, json};
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, PartitionPort, PortError, RequestError,
    Value as Slap,
};

use super::*;

const NAME: &str = "schemas_do_to_parameters_what_the_original_does";
const CASES: &str = include_str!("schema.json");
const SCRIPT: &str = include_str!("schema.py");
const PROFILE: &str = "\
[buildout]
parts = dump
[slap]
recipe = slapos.cookbook:slapconfiguration.jsonschema
jsonschema = ${buildout:directory}/software.cfg.json
set-default = all
unstringify = all
[dump]
recipe = slapos.cookbook:jsondump
json-output = ${buildout:directory}/out.json
configuration = ${slap:configuration}
valid = ${slap:valid-shared-instance-list}
invalid = ${slap:invalid-shared-instance-list}
";

/// A Master that only tells.
struct Teller(ComputerPartition);

impl PartitionPort for Teller {
    fn partition(&self) -> &ComputerPartition {
        &self.0
    }

    fn publish(&self, _connection: &IndexMap<String, String>) -> Result<(), PortError> {
        Ok(())
    }

    fn publish_shared(&self, _: &str, _: &IndexMap<String, String>) -> Result<(), PortError> {
        Err(PortError("nothing is published here".to_owned()))
    }

    fn request(&self, _: &InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError> {
        Err(RequestError::Refused("nothing is asked for here".to_owned()))
    }
}

fn arrange(directory: &Path, schema: &Value) {
    fs::create_dir_all(directory).unwrap();
    let write =
        |name: &str, json: &Value| fs::write(directory.join(name), json.to_string()).unwrap();
    let request = json!({"request": "main.json"});
    let shared = json!({"request": "main.json", "software-type": "default", "shared": true});
    // The original looks at the option `software-type` of every entry before the one it wants.
    let types = json!({"shared": shared, "default": request});
    write("software.cfg.json", &json!({"serialisation": "json-in-xml", "software-type": types}));
    write("main.json", schema);
    let port = json!({"type": "integer", "default": 80});
    let sub = json!({"properties": {"port": {"$ref": "#/$defs/port"}}});
    write("common.json", &json!({"$defs": {"port": port}, "properties": {"sub": sub}}));
}

/// What ours makes of a case.
fn ours(case: &Value, directory: &Path) -> Value {
    let mut partition = ComputerPartition::free("COMP-1".into(), "slappart0".into());
    partition.software_type = "default".to_owned();
    partition.ip_list = vec![("lo".to_owned(), Ipv4Addr::LOCALHOST.into())];
    partition.parameters.insert("_".to_owned(), case["main"].to_string());
    let shared = case["shared"].as_array().into_iter().flatten().enumerate();
    partition.slave_instance_list.extend(shared.map(|(index, parameters)| {
        IndexMap::from([
            ("slave_reference".to_owned(), Slap::Str(index.to_string())),
            ("_".to_owned(), Slap::Str(parameters.to_string())),
        ])
    }));
    let fetcher = Arc::new(Fetcher::new(FetcherConfig::new(directory.join("cache"))));
    let base = Location::from_path(directory).unwrap();
    let name = directory.join("ours.cfg").display().to_string();
    let profile =
        Profile::load_text(&name, PROFILE, &base, &ProfileFiles::new(&fetcher), &[]).unwrap();
    let slap: Arc<dyn PartitionPort> = Arc::new(Teller(partition));
    let recipes = Arc::new(registry(Ports { fetcher, slap: Some(slap), python: None }));
    let mut buildout = Buildout::new(profile, recipes, Settings::new(directory));
    let Ok(plan) = buildout.plan() else {
        return json!({"configuration": "refused"});
    };
    buildout.execute(&plan, &NoObserver).unwrap();
    let text = fs::read_to_string(directory.join("out.json")).unwrap();
    let mut made: Value = serde_json::from_str(&text).unwrap();
    let invalid = made["invalid"].as_array().unwrap().iter();
    made["invalid"] = invalid.map(|shared| shared["reference"].clone()).collect();
    made
}

#[test]
fn schemas_do_to_parameters_what_the_original_does() {
    let buildout = match original() {
        Ok(buildout) => buildout,
        Err(why) => return skipped(NAME, &why),
    };
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for (index, case) in cases.iter().enumerate() {
        arrange(&root.join(index.to_string()), &case["schema"]);
    }
    fs::write(root.join("cases.json"), CASES).unwrap();
    fs::write(root.join("schema.py"), SCRIPT).unwrap();
    let output = Command::new(buildout.with_file_name("python"))
        .args(["-W", "ignore", "schema.py", "cases.json"])
        .arg(&root)
        .current_dir(&root)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let theirs: Vec<Value> = serde_json::from_slice(&output.stdout).expect(&told);
    assert_eq!(theirs.len(), cases.len());
    let mut different = Vec::new();
    for (index, (case, theirs)) in cases.iter().zip(&theirs).enumerate() {
        let ours = ours(case, &root.join(index.to_string()));
        if ours != *theirs {
            different.push(format!("{}\n  theirs: {theirs}\n  ours:   {ours}", case["what"]));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
