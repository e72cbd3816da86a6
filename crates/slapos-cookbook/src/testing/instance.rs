//! The recipes of an instance, together as in a real one.

use super::*;

const PROFILE: &str = "\
[buildout]
parts = service publish promise check url

[slap]
recipe = slapos.cookbook:slapconfiguration
url = ignored

[directory]
recipe = slapos.cookbook:mkdirectory
etc = ${buildout:directory}/etc
service = ${:etc}/service
run = var/run

[port]
recipe = slapos.cookbook:free_port
ip = ${slap:ipv4-random}
minimum = 20000
maximum = 30000

[conf]
recipe = slapos.recipe.template:jinja2
output = ${directory:etc}/conf
context =
  key parameters slap:configuration
  key ipv6 slap:ipv6
  key port port:port
inline =
  listen {{ port }} {{ ipv6 | first }}
  greeting {{ parameters.get('greeting', 'hello') }}

[service]
recipe = slapos.cookbook:wrapper
command-line = /usr/bin/server --conf '${conf:output}'
wrapper-path = ${directory:service}/server
hash-files = ${conf:output}

[publish]
recipe = slapos.cookbook:publish
-extends = more
url = http://${port:ip}:${port:port}/

[more]
backend = ${slap:instance-title}
-hidden = 1

[promise]
recipe = slapos.cookbook:promise.plugin
output = etc/plugin/up.py
module = slapos.promise.plugin.check_url_available
config-url = ${publish:url}

[check]
recipe = slapos.cookbook:check_port_listening
path = etc/promise/port
hostname = ${port:ip}
port = ${port:port}

[url]
recipe = slapos.cookbook:check_url_available
path = etc/promise/url
url = ${publish:url}
";

fn only_service(yard: &Yard) -> String {
    let entries = std::fs::read_dir(yard.path("etc/service")).unwrap();
    let names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}

#[test]
fn an_instance_is_deployed_once_and_follows_its_parameters() {
    let mut yard = Yard::instance();
    let published = yard.deploy(PROFILE).unwrap();
    let url = published[0]["url"].clone();
    assert!(url.starts_with("http://127.0.0.1:2"), "{url}");
    assert_eq!(published[0]["backend"], "my instance");
    assert_eq!(published[0].len(), 2);
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    assert_eq!(yard.read("etc/conf"), format!("listen {port} ::1\ngreeting hello"));
    assert!(yard.path("var/run").is_dir());
    let first = only_service(&yard);
    assert!(first.starts_with("server-"));
    assert!(yard.read("etc/plugin/up.py").starts_with("# slapos-promise: {\"module\":"));
    assert_eq!(yard.mode("etc/promise/port"), 0o700);

    // The Master knows now, so nothing is left to do.
    yard.partition.as_mut().unwrap().connection = published[0].clone();
    assert!(yard.plan(PROFILE).unwrap().is_noop());
    assert!(yard.deploy(PROFILE).unwrap().is_empty());

    // A parameter reaches the file and, by the hash, the name of the service.
    let parameters = &mut yard.partition.as_mut().unwrap().parameters;
    parameters.insert("greeting".into(), "salve; $x".into());
    assert!(yard.deploy(PROFILE).unwrap().is_empty());
    assert_eq!(yard.read("etc/conf"), format!("listen {port} ::1\ngreeting salve; $x"));
    assert_ne!(only_service(&yard), first);

    // Whoever changed the Master's copy is corrected.
    yard.partition.as_mut().unwrap().connection.clear();
    let plan = yard.plan(PROFILE).unwrap();
    insta::assert_snapshot!(plan, @r"
    update  publish: the Master has other connection parameters
    8 parts are kept
    ");
    assert_eq!(yard.deploy(PROFILE).unwrap()[0]["url"], url);
}

#[test]
fn serialised_parameters_come_and_go_as_json() {
    let mut yard = Yard::instance();
    let json = r#"{"list": [1, {"a": null}], "odd:name": 1.5}"#;
    yard.partition.as_mut().unwrap().parameters.insert("_".into(), json.into());
    let profile = "\
[buildout]
parts = publish file

[slap]
recipe = slapos.cookbook:slapconfiguration.serialised

[publish]
recipe = slapos.cookbook:publish.serialised
all = ${slap:configuration}
list = ${slap:configuration.list}
text = é

[file]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/f
context = key c slap:configuration
inline = {{ c['odd:name'] }} {{ dumps(c) }}
";
    let published = yard.deploy(profile).unwrap();
    insta::assert_snapshot!(published[0]["_"], @r#"{"all": {"list": [1, {"a": null}], "odd:name": 1.5}, "list": [1, {"a": null}], "text": "\u00e9"}"#);
    assert_eq!(yard.read("f"), "1.5 !py!{'list': [1, {'a': None}], 'odd:name': 1.5}");
    yard.partition.as_mut().unwrap().parameters.insert("_".into(), "{".into());
    assert!(yard.error(profile).contains("parameter `_` is no JSON"));
}

#[test]
fn all_that_the_master_says_is_an_option() {
    let yard = Yard::instance();
    yard.write(".slapos-resource", r#"{"tun": {"ipv4": "10.0.0.1"}}"#);
    let profile = "\
[buildout]
parts = f
[slap]
recipe = slapos.cookbook:slapconfiguration
[f]
recipe = slapos.recipe.template
output = f
inline =
  ${slap:ipv4} ${slap:ipv6} ${slap:ipv4-random} ${slap:ipv6-random}
  ${slap:slap-software-type} ${slap:slap-computer-id} ${slap:slap-computer-partition-id}
  ${slap:instance-title} ${slap:instance-state} ${slap:slave-instance-list} ${slap:tun-ipv4}
";
    yard.run(profile).unwrap();
    insta::assert_snapshot!(yard.read("f"), @r"
    !py!{'127.0.0.1'} !py!{'::1'} 127.0.0.1 ::1
    default COMP-1 slappart0
    my instance destroyed !py![] 10.0.0.1
    ");
    let software = Yard::software();
    insta::assert_snapshot!(software.error(profile), @"ROOT/build/test.cfg:4: part `slap` asks the Master, and this is no run of a Computer Partition");
}

#[test]
fn ports_are_kept_and_not_given_twice() {
    let yard = Yard::instance();
    let profile = "\
[buildout]
parts = f
[one]
recipe = slapos.cookbook:free_port
ip = 127.0.0.1
minimum = 30000
[two]
<= one
[f]
recipe = slapos.recipe.template
output = f
inline = ${one:port} ${two:port}
";
    yard.run(profile).unwrap();
    let ports = yard.read("f");
    let (one, two) = ports.split_once(' ').unwrap();
    assert_ne!(one, two);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", one.parse().unwrap()));
    assert!(yard.plan(profile).unwrap().is_noop());
    insta::assert_snapshot!(yard.error(&profile.replace("= 127.0.0.1", "= localhost")), @"ROOT/build/test.cfg:5: `ip` must be an IP address, not `localhost`");
}

#[test]
fn what_belongs_to_a_shared_instance_is_published_for_it_when_it_changes() {
    let yard = Yard::instance();
    let master = yard.master().unwrap();
    let run = |profile: &str| {
        let mut buildout = yard.buildout(profile, Some(&master));
        let plan = buildout.plan().unwrap();
        buildout.execute(&plan, &slapos_engine::NoObserver).unwrap();
        std::mem::take(&mut *master.shared.lock().unwrap())
    };
    let profile = "[buildout]\nparts = one two\n[one]\nrecipe = slapos.cookbook:publish\n\
                   -slave-reference = _a\nurl = x\n[two]\n\
                   recipe = slapos.cookbook:publish.serialised\n\
                   -slave-reference = !py!'_b'\nn = !py!1\n";
    let texts = |name: &str, text: &str| IndexMap::from([(name.to_owned(), text.to_owned())]);
    assert_eq!(
        run(profile),
        [("_a".to_owned(), texts("url", "x")), ("_b".to_owned(), texts("_", r#"{"n": 1}"#))]
    );
    assert_eq!(run(profile), []);
    assert_eq!(run(&profile.replace("= x", "= y")), [("_a".to_owned(), texts("url", "y"))]);
    assert!(master.published.lock().unwrap().is_empty());
}

#[test]
fn early_values_are_drawn_once_and_kept_by_the_master() {
    let mut yard = Yard::instance();
    let profile = "\
[buildout]
parts = publish conf

[early]
recipe = slapos.cookbook:publish-early
-init =
  passwd gen:passwd
  number random:value
  forced gen:bytes
forced = z

[gen]
recipe = slapos.cookbook:generate.password
storage-path =

[random]
recipe = slapos.cookbook:random.integer
minimum = 1
maximum = 1000000000

[conf]
recipe = slapos.recipe.template
output = ${buildout:directory}/conf
inline = ${early:passwd} ${early:number} ${early:forced}

[publish]
recipe = slapos.cookbook:publish.serialised
-extends = early
";
    let published = yard.deploy(profile).unwrap();
    let conf = yard.read("conf");
    let words: Vec<&str> = conf.split(' ').collect();
    assert_eq!((words[0].len(), words[2]), (16, "z"));
    let whole = format!(r#"{{"forced": "z", "number": "{}", "passwd": "{}"}}"#, words[1], words[0]);
    let early = whole.replace("\"forced\": \"z\", ", "");
    let texts: Vec<&str> = published.iter().map(|connection| connection["_"].as_str()).collect();
    assert_eq!(texts, [early.as_str(), whole.as_str()]);
    assert!(!yard.read(".slapos/installed.json").contains(words[0]));

    yard.partition.as_mut().unwrap().connection = published[1].clone();
    let plan = yard.plan(profile).unwrap();
    assert!(plan.is_noop(), "{plan}");
    assert_eq!(yard.read("conf"), conf);

    let direct = profile.replace("${early:passwd}", "${gen:passwd}");
    let BuildError::Profile(error) = yard.run(&direct).unwrap_err() else { panic!() };
    insta::assert_snapshot!(error.help().unwrap(), @"part `early` took it: refer to ${early:passwd}");
    let before = profile.replace("parts = publish", "parts = gen publish");
    insta::assert_snapshot!(yard.error(&before), @"ROOT/build/test.cfg:7: [gen] was initialised before its published values were known");
}

const SCHEMAS: &str = r#"{
  "serialisation": "json-in-xml",
  "software-type": {
    "default": {"request": "./main.json", "index": 0},
    "for-others": {"software-type": "default", "shared": true, "request": "shared.json"},
    "plain": {"request": "main.json", "serialisation": "xml"}
  }
}"#;

fn with_schemas(yard: &Yard) {
    yard.write("software.cfg.json", SCHEMAS);
    let main = r#"{"properties": {"n": {"type": "integer"}, "d": {"default": [1]}}}"#;
    yard.write("main.json", main);
    yard.write("shared.json", r##"{"$ref": "main.json", "required": ["n"]}"##);
}

const VALIDATED: &str = "\
[buildout]
parts = f
[slap]
recipe = slapos.cookbook:slapconfiguration.jsonschema
jsonschema = ${buildout:directory}/software.cfg.json
set-default = all
unstringify = main
[f]
recipe = slapos.recipe.template
output = f
inline =
  ${slap:configuration} ${slap:configuration.d} ${slap:instance-title}
  ${slap:valid-shared-instance-list}
  ${slap:invalid-shared-instance-list}
";

#[test]
fn parameters_are_what_their_schemas_want() {
    use slapos_slap::Value;
    let mut yard = Yard::instance();
    with_schemas(&yard);
    let partition = yard.partition.as_mut().unwrap();
    partition.parameters.insert("_".into(), r#"{"n": "5"}"#.into());
    for (reference, json) in [("one", r#"{"n": 1}"#), ("two", r#"{"n": "1"}"#), ("three", "{")] {
        let text = |text: &str| Value::Str(text.to_owned());
        partition.slave_instance_list.push(IndexMap::from([
            ("slave_reference".to_owned(), text(reference)),
            ("_".to_owned(), text(json)),
        ]));
    }
    insta::assert_snapshot!(yard.warnings(VALIDATED).join("\n"), @r#"
    invalid parameters of shared instance two:
      $.n: "1" is not of type "integer"
    invalid parameters of shared instance three:
      $: parameter `_` is no JSON: EOF while parsing an object at line 1 column 1
    "#);
    insta::assert_snapshot!(yard.read("f"), @r#"
    !py!{'d': [1], 'n': 5} !py![1] my instance
    !py![{'parameters': {'d': [1], 'n': 1}, 'reference': 'one'}]
    !py![{'errors': '  \x24.n: "1" is not of type "integer"', 'parameters': {'n': '1'}, 'reference': 'two'}, {'errors': '  \x24: parameter `_` is no JSON: EOF while parsing an object at line 1 column 1', 'parameters': {'_': '{'}, 'reference': 'three'}]
    "#);
    assert!(yard.plan(VALIDATED).unwrap().is_noop());

    // Another schema is another configuration.
    yard.write("main.json", r#"{"properties": {"d": {"default": 2}}}"#);
    yard.run(VALIDATED).unwrap();
    insta::assert_snapshot!(yard.read("f").lines().next().unwrap(), @"!py!{'d': 2, 'n': '5'} !py!2 my instance");

    let (head, _) = VALIDATED.split_once("set-default").unwrap();
    let inline = "inline = ${slap:configuration} ${slap:slave-instance-list}\n";
    let as_they_are = format!(
        "{head}validate-parameters = main\nunwrap-shared = yes\n\
         [f]\nrecipe = slapos.recipe.template\noutput = f\n{inline}"
    );
    yard.partition.as_mut().unwrap().slave_instance_list.truncate(1);
    yard.run(&as_they_are).unwrap();
    insta::assert_snapshot!(yard.read("f"), @"!py!{'n': '5'} !py![{'n': 1, 'slave_reference': 'one'}]");
    yard.run(&as_they_are.replace("= yes", "= no")).unwrap();
    insta::assert_snapshot!(yard.read("f"), @r#"!py!{'n': '5'} !py![{'_': '{"n": 1}', 'slave_reference': 'one'}]"#);
}

#[test]
fn parameters_that_no_schema_wants_are_refused() {
    let mut yard = Yard::instance();
    with_schemas(&yard);
    let partition = yard.partition.as_mut().unwrap();
    partition.parameters.insert("_".into(), r#"{"n": "five"}"#.into());
    insta::assert_snapshot!(yard.error(VALIDATED), @r#"
    ROOT/build/test.cfg:5: the instance has invalid parameters:
      $.n: "five" is not of type "integer"
    "#);
    insta::assert_snapshot!(yard.error(&VALIDATED.replace("= all", "= some")), @"ROOT/build/test.cfg:6: `set-default` must be `all`, `main`, `shared` or `none`, not `some`");
    insta::assert_snapshot!(yard.error(&VALIDATED.replace("software.cfg", "none")), @"ROOT/build/test.cfg:5: cannot read ROOT/build/none.json: No such file or directory (os error 2)");
    let partition = yard.partition.as_mut().unwrap();
    partition.software_type = "unheard-of".to_owned();
    insta::assert_snapshot!(yard.error(VALIDATED), @"ROOT/build/test.cfg:5: ROOT/build/software.cfg.json has no schema for the software type `unheard-of`");
    let partition = yard.partition.as_mut().unwrap();
    partition.software_type = "plain".to_owned();
    partition.parameters = IndexMap::from([("n".to_owned(), "7".to_owned())]);
    yard.run(VALIDATED).unwrap();
    insta::assert_snapshot!(yard.read("f"), @r"
    !py!{'d': [1], 'n': 7} !py![1] my instance
    !py![]
    !py![]
    ");
}

#[test]
fn a_failsafe_publication_says_in_a_file_that_it_failed() {
    let mut yard = Yard::instance();
    let profile = "[buildout]\nparts = p\n[p]\nrecipe = slapos.cookbook:publish_failsafe\n\
                   -error-status-file = var/error\nurl = x\n";
    yard.refuses = Some("the Master is on fire".to_owned());
    let failing = profile.replace("_failsafe", "");
    assert!(yard.run(&failing).is_err());
    insta::assert_snapshot!(yard.warnings(profile).join("\n"), @"cannot publish the connection parameters: the Master is on fire");
    insta::assert_snapshot!(yard.read("var/error"), @"cannot publish the connection parameters: the Master is on fire");
    insta::assert_snapshot!(yard.plan(profile).unwrap().to_string(), @"update  p: its last publication failed");
    let silent = profile.replace("-error-status-file = var/error\n", "");
    yard.run(&silent).unwrap();
    assert!(!yard.path("var/error").exists());
    yard.run(profile).unwrap();

    yard.refuses = None;
    assert_eq!(yard.deploy(profile).unwrap()[0]["url"], "x");
    assert!(!yard.path("var/error").exists());
    yard.partition.as_mut().unwrap().connection.insert("url".into(), "x".into());
    yard.run(profile).unwrap();
    assert!(yard.plan(profile).unwrap().is_noop());

    // The file goes with the part.
    yard.refuses = Some("no".to_owned());
    let json = profile.replace("publish_failsafe", "publish.serialised_failsafe");
    yard.run(&json).unwrap();
    assert!(yard.path("var/error").exists());
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("var/error").exists());
}

#[test]
fn a_promise_has_the_eggs_of_its_software_release() {
    let yard = Yard::instance();
    yard.write(
        "soft/src/checks.egg-info/PKG-INFO",
        "Metadata-Version: 2.1\nName: checks\nVersion: 1.0\n",
    );
    let source = yard.path("soft/src").display().to_string();
    yard.write("soft/develop-eggs/checks.egg-link", &format!("{source}\n."));
    let promise = |eggs: &str| {
        format!(
            "[buildout]\nparts = p\noffline = true\neggs-directory = soft/eggs\n\
             develop-eggs-directory = soft/develop-eggs\n[p]\n\
             recipe = slapos.cookbook:promise.plugin\noutput = etc/plugin/p.py\n\
             module = checks.moon\neggs = {eggs}\nconfig-phase = full\n"
        )
    };
    yard.deploy(&promise("checks")).unwrap();
    let text = yard.read("etc/plugin/p.py");
    assert!(text.contains(&format!("sys.path[0:0] = ['{source}']\n")), "{text}");
    assert!(text.ends_with("from checks.moon import RunPromise\n"), "{text}");
    // What is not there is not needed, if the check is built in.
    yard.deploy(&promise("slapos.toolbox")).unwrap();
    assert!(!yard.read("etc/plugin/p.py").contains("sys.path"));
}
