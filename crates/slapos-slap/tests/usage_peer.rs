//! Usage reports beside the original: its XML schemas, and a schema processor, must say the same as
//! we do about documents that differ in one place from good ones.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

use std::collections::BTreeMap;
use std::path::Path;

use slapos_slap::usage::{journal, read_consumption, read_journal};

const CONSUMPTION: &str = "<?xml version='1.0' encoding='utf-8'?>\n<consumption>\n<movement>\
    <resource>CPU</resource><title>t</title><reference>r</reference><quantity>1.5</quantity>\
    <price>0.0</price><VAT></VAT><category>a</category><category>b</category></movement>\n\
    <movement><resource>x</resource><quantity>1</quantity><price>2</price><VAT/></movement>\
    </consumption>";

/// Says for each file of a directory whether the schema that its name begins with takes it.
const JUDGE: &str = r#"
import os, sys
from importlib.metadata import files
from lxml import etree
def schema(name):
    path = [f for f in files("slapos.core") if f.name == name + "_consumption.xsd"][0]
    return etree.XMLSchema(etree.parse(str(path.locate())))
schemas = {name: schema(name) for name in ("partition", "computer")}
for name in sorted(os.listdir(sys.argv[1])):
    try:
        document = etree.parse(os.path.join(sys.argv[1], name))
        verdict = schemas[name.split("-")[0]].validate(document)
    except etree.XMLSyntaxError:
        verdict = False
    print(name, verdict)
"#;

/// Documents that differ from `text` in one place, and `text` itself.
fn variants(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let tags: Vec<_> = text.match_indices('<').map(|(at, _)| at).collect();
    for at in tags {
        let end = at + text[at..].find('>').unwrap() + 1;
        let with = |what: &str| format!("{}{what}{}", &text[..at], &text[end..]);
        let tag = &text[at..end];
        if tag.starts_with("<?") {
            continue;
        }
        all.push(with(""));
        all.push(with(&format!("words{tag}")));
        all.push(with(&format!("<!-- no -->{tag}")));
        all.push(with(&format!("<other/>{tag}")));
        if !tag.starts_with("</") {
            all.push(with(&format!("{tag}<other/>")));
            all.push(with(&tag.replacen('>', " a='1'>", 1).replace("/ a='1'>", " a='1'/>")));
            all.push(with(&tag.replace(" type=", " kind=")));
            let name = tag.trim_matches(['<', '>', '/']).split(' ').next().unwrap();
            let close = format!("</{name}>");
            if let Some(length) = text[at..].find(&close) {
                let whole = &text[at..at + length + close.len()];
                let rest = &text[at + whole.len()..];
                all.push(format!("{}{rest}", &text[..at]));
                all.push(format!("{}{whole}{whole}{rest}", &text[..at]));
                // In another order.
                if let Some(next) = rest.find('>').filter(|_| !rest.starts_with("</")) {
                    let (first, rest) = rest.split_at(next + 1);
                    all.push(format!("{}{first}{whole}{rest}", &text[..at]));
                }
            }
        }
    }
    // Not `1e`, which libxml2 takes although XML Schema does not.
    for number in [
        "", " 1 ", "+1", "-1.", ".5", ".", "1e5", "1E-5", "INF", "-INF", "NaN", "nan", "inf",
        "infinity", "1 2", "0x1", "1,5", "1_0", "é",
    ] {
        all.push(text.replace(">1.5<", &format!(">{number}<")));
    }
    all
}

fn judge(python: &Path, documents: &Path) -> BTreeMap<String, bool> {
    let output =
        std::process::Command::new(python).args(["-c", JUDGE]).arg(documents).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict = |line: &str| {
        let (name, verdict) = line.split_once(' ').unwrap();
        (name.to_owned(), verdict == "True")
    };
    text.lines().map(verdict).collect()
}

#[test]
fn the_originals_schemas_say_the_same() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("usage-peer");
    let packages = ["--no-deps", "slapos.core==1.26.1", "lxml==5.3.0"];
    let bin = match slapos_testkit::python_with(&place, &packages) {
        Ok(bin) => bin,
        Err(why) => return slapos_testkit::skipped("the_originals_schemas_say_the_same", &why),
    };
    let dir = tempfile::tempdir().unwrap();
    let mut ours = BTreeMap::new();
    let mut add = |kind: &str, text: String, verdict: bool| {
        let name = format!("{kind}-{:04}.xml", ours.len());
        std::fs::write(dir.path().join(&name), &text).unwrap();
        ours.insert(name, (verdict, text));
    };
    for text in variants(CONSUMPTION) {
        let verdict = read_consumption(&text).is_ok();
        add("partition", text, verdict);
    }
    let reports = [("slappart0".into(), read_consumption(CONSUMPTION).unwrap())];
    for text in variants(&journal(&"COMP-1".into(), "now", &reports)) {
        let verdict = read_journal(&text).is_ok();
        add("computer", text, verdict);
    }
    let theirs = judge(&bin.join("python"), dir.path());
    assert_eq!(theirs.len(), ours.len());
    let differ = ours.iter().filter(|(name, (verdict, _))| theirs[*name] != *verdict);
    let differ: Vec<_> = differ.map(|(_, (verdict, text))| format!("{verdict}: {text}")).collect();
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), ours.len(), differ.join("\n"));
    let good = ours.values().filter(|(verdict, _)| *verdict).count();
    assert!(good > 20 && good < ours.len() - 100, "{good} of {}", ours.len());
}
