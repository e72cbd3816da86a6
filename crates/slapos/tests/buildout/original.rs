//! The same profile run by zc.buildout with the recipes of the original, and by ours.

use std::collections::{BTreeMap, BTreeSet};

use slapos_engine::Installed;
use slapos_testkit::{python_with, skipped};

use super::runs::yard;
use super::*;

/// The original, its recipes, and what they need.
const PACKAGES: [&str; 9] = [
    "setuptools==67.8.0",
    "zc.buildout==3.0.1",
    "plone.recipe.command==1.1",
    "slapos.recipe.template==5.1",
    "slapos.recipe.build==0.66",
    "slapos.recipe.cmmi==0.23",
    "zope.interface==7.2",
    "collective.recipe.template==2.2",
    "slapos.extension.strip==0.4",
];

/// Directory with `buildout` and `python`.
fn original(test: &str) -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("buildout-original");
    python_with(&place, &PACKAGES).map_err(|why| skipped(test, &why)).ok()
}

/// What was done with which parts, sorted: the original updates what it keeps, and uninstalls
/// before it installs again.
fn done(output: &Output) -> BTreeMap<String, &'static str> {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut done = BTreeMap::new();
    for (verb, what) in
        [("Uninstalling ", "uninstalled"), ("Installing ", "installed"), ("Updating ", "kept")]
    {
        for line in text.lines() {
            if let Some(part) = line.strip_prefix(verb).and_then(|rest| rest.strip_suffix('.')) {
                done.insert(part.to_owned(), what);
            }
        }
    }
    done
}

/// Files made, without what each keeps for itself.
fn made(yard: &Yard) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending: Vec<PathBuf> = ["etc", "shell", "parts"]
        .map(|name| yard.path(name))
        .into_iter()
        .filter(|path| path.exists())
        .collect();
    while let Some(path) = pending.pop() {
        let name = path.strip_prefix(yard.path("")).unwrap().display().to_string();
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            found.insert(name, String::new());
        } else {
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn installed(yard: &Yard) -> Installed {
    let path = yard.path(".installed.cfg");
    let Ok(text) = std::fs::read_to_string(path) else { return Installed::default() };
    let text = text.replace(&*yard.root().to_string_lossy(), "ROOT");
    Installed::parse(".installed.cfg", &text).unwrap()
}

/// The same parts with the same options, except for what says what made them. (The original moves
/// parts to the end of the list when it looks at them.)
fn compare_installed(theirs: &Yard, ours: &Yard) {
    let (theirs, ours) = (installed(theirs), installed(ours));
    let names = |installed: &Installed| installed.parts.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&theirs), names(&ours));
    for (part, options) in theirs.parts {
        for (option, value) in options {
            // The place of a build that is gone is not an option of ours.
            if !["__buildout_signature__", "compile-directory"].contains(&option.as_str()) {
                assert_eq!(ours.parts[&part].get(&option), Some(&value), "[{part}] {option}");
            }
        }
    }
}

#[test]
fn the_original_does_the_same() {
    let Some(bin) = original("the_original_does_the_same") else { return };
    let (theirs, ours) = (yard(), yard());
    let both = |words: &[&str]| {
        let words = [&["-U", "-o"][..], words].concat();
        let their = theirs.command(bin.join("buildout")).args(&words).output().unwrap();
        let our = ours.run(&words);
        assert_eq!(their.status.code(), our.status.code(), "{words:?}: {their:?} {our:?}");
        compare_installed(&theirs, &ours);
        assert_eq!(made(&theirs), made(&ours), "{words:?}");
        (their, our)
    };
    let all = |words: &[&str]| {
        let (their, our) = both(words);
        let (their, mut our) = (done(&their), done(&our));
        for (part, what) in &their {
            // What stays is not mentioned here.
            if *what == "kept" {
                our.entry(part.clone()).or_insert("kept");
            }
        }
        assert_eq!(their, our, "{words:?}");
        their
    };
    let count = |done: &BTreeMap<String, &str>, what| done.values().filter(|w| **w == what).count();
    assert_eq!(count(&all(&[]), "installed"), 4);
    let order = |yard: &Yard| installed(yard).parts.into_keys().collect::<Vec<_>>();
    assert_eq!(order(&theirs), order(&ours));
    assert_eq!(count(&all(&[]), "kept"), 4);
    assert_eq!(count(&all(&["values:word=two"]), "installed"), 2);
    assert_eq!(count(&all(&["install", "text", "dirs"]), "installed"), 1);
    assert_eq!(count(&all(&["buildout:parts=dirs shell"]), "uninstalled"), 2);
    both(&["buildout:parts=dirs nowhere"]);
    both(&["-c", "nowhere.cfg"]);
    both(&["nonsense"]);
    all(&["buildout:parts="]);
    assert!(!ours.path(".installed.cfg").exists() && !theirs.path(".installed.cfg").exists());
}

#[test]
fn the_original_goes_on_where_we_were() {
    let Some(bin) = original("the_original_goes_on_where_we_were") else { return };
    let yard = yard();
    yard.run(&[]);
    let less = ["-U", "-o", "buildout:parts=shell"];
    let output = yard.command(bin.join("buildout")).args(less).output().unwrap();
    let done = done(&output);
    assert_eq!((done["tool"], done["text"]), ("uninstalled", "uninstalled"));
    assert!(!yard.path("parts/tool").exists() && yard.path("shell/f").exists());
}

/// Values that are hard to write down.
const ODD: [&str; 14] = [
    "plain",
    "",
    " ",
    "\n",
    "l1\n\n  l2",
    "\nl1\n",
    "  indented\n    more\n  ",
    "a \n\n\n b",
    "100 % $${x} $$ $x",
    "# no comment\n; nor this\n[no section]\nno = option",
    "é\u{2003}ü",
    "a\tb",
    "\u{b}a\u{c}\n\u{c}b",
    "!py!{'a': 1}",
];

#[test]
fn the_form_is_byte_for_byte_that_of_the_original_and_other_readers_take_it() {
    let Some(bin) = original("the_form_is_byte_for_byte_that_of_the_original") else { return };
    let options = ODD.iter().enumerate();
    let options: BTreeMap<String, String> =
        options.map(|(number, value)| (format!("o{number}"), (*value).to_owned())).collect();
    let mut written = Installed::default();
    written.parts.insert("a".into(), options.clone());
    written.parts.insert("b-1.x".into(), BTreeMap::from([("recipe".into(), "r".into())]));
    let yard = Yard::new();
    yard.write("ours.cfg", &written.to_text());
    yard.write("options.json", &serde_json::to_string(&written.parts).unwrap());
    yard.write(
        "check.py",
        "import configparser, io, json\n\
         from zc.buildout import buildout, configparser as theirs\n\
         wanted = json.load(open('options.json'))\n\
         text = open('ours.cfg', newline='').read()\n\
         out = io.StringIO()\n\
         buildout._save_options('buildout', {'installed_develop_eggs': '', 'parts': ' '.join(wanted)}, out)\n\
         for part, options in wanted.items():\n    out.write('\\n'); buildout._save_options(part, options, out)\n\
         assert out.getvalue() == text, (out.getvalue(), text)\n\
         read = theirs.parse(io.StringIO(text), 'ours.cfg')\n\
         for part, options in wanted.items():\n    for name, value in options.items():\n        \
         found = read[part][name]\n        \
         for mark, space in buildout._spacey_defaults: found = found.replace(mark, space)\n        \
         assert found == value, (name, found, value)\n\
         for reader in configparser.RawConfigParser(), configparser.ConfigParser():\n    \
         reader.read('ours.cfg'); assert reader.get('b-1.x', 'recipe') == 'r'\n    \
         assert reader.get('buildout', 'parts') == 'a b-1.x'\n",
    );
    let output = yard.command(bin.join("python")).arg("check.py").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn readers_of_ini_files_take_what_a_run_leaves() {
    let yard = yard();
    yard.run(&[]);
    let script = "import configparser\n\
                  for reader in configparser.RawConfigParser(), configparser.ConfigParser():\n    \
                  reader.read('.installed.cfg')\n    \
                  print(reader.get('tool', 'location'), reader.get('text', '__buildout_installed__'))\n";
    let mut command = yard.command("/usr/bin/python3");
    let output = match command.args(["-c", script]).output() {
        Ok(output) => output,
        Err(why) => {
            return skipped("readers_of_ini_files_take_what_a_run_leaves", &why.to_string());
        }
    };
    let line = "/b/parts/tool /b/etc/text\n";
    assert_eq!(yard.shown(&output), line.repeat(2));
}

/// Programs of all kinds, without what tells directories and builds apart.
const STRIPPED: &str = r"
[buildout]
parts = made
extensions = slapos.extension.strip
do-not-strip-path = ${buildout:directory}/parts/made/spared
[made]
recipe = plone.recipe.command
location = ${buildout:directory}/parts/made
stop-on-error = true
flags = -g -Wl,--build-id=none -fdebug-prefix-map=${:location}=.
command =
  mkdir -p ${:location} && cd ${:location} &&
  echo 'int f(void){return 1;} int main(void){return 0;}' > a.c &&
  cc ${:flags} -o program a.c && cc ${:flags} -no-pie -o fixed a.c && chmod 555 fixed &&
  cp program spared && ln program other-name && cc ${:flags} -shared -fPIC -o libx.so.1 a.c &&
  ln -s libx.so.1 libx.so && cc ${:flags} -c a.c && chmod +x a.o && ar rcD libx.a a.o
";

#[test]
fn what_is_stripped_is_byte_for_byte_that_of_the_original() {
    let name = "what_is_stripped_is_byte_for_byte_that_of_the_original";
    let Some(bin) = original(name) else { return };
    if Command::new("file").arg("--version").output().is_err() {
        return skipped(name, "the original needs the program `file`");
    }
    let files = |yard: &Yard| -> BTreeMap<String, (Vec<u8>, u32)> {
        use std::os::unix::fs::PermissionsExt as _;
        let entries = std::fs::read_dir(yard.path("parts/made")).unwrap().flatten();
        let found = entries.map(|entry| {
            let mode = entry.path().metadata().unwrap().permissions().mode();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, (std::fs::read(entry.path()).unwrap(), mode))
        });
        found.collect()
    };
    let (theirs, ours) = (Yard::with(STRIPPED), Yard::with(STRIPPED));
    let run = theirs.command(bin.join("buildout")).arg("-N").output().unwrap();
    assert!(String::from_utf8_lossy(&run.stdout).contains("Done."), "{run:?}");
    assert!(ours.run(&[]).status.success());
    let (theirs, ours) = (files(&theirs), files(&ours));
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (file, content) in &theirs {
        assert!(ours[file] == *content, "{file}: {} and {}", content.0.len(), ours[file].0.len());
    }
    assert!(ours["program"].0.len() < ours["spared"].0.len());
}
