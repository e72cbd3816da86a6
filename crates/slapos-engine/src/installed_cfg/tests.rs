//! Buildout's record: read, written, and read again as it was.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use proptest::prelude::*;

use super::*;

fn one(options: &[(&str, &str)]) -> Installed {
    let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Installed { parts: IndexMap::from([("a".to_owned(), options)]), ..Installed::default() }
}

fn value(value: &str) -> String {
    let text = one(&[("x", value)]).to_text();
    text.split_once("x = ").map(|(_, text)| text.trim_end_matches('\n').to_owned()).unwrap()
}

#[test]
fn the_form_is_that_of_the_original() {
    let mut installed = one(&[
        ("x", "l1\n\n  l2"),
        ("esc", "$${z} $$ $x"),
        (PATHS, "/b/parts/a\n/b/bin/a"),
        (SIGNATURE, "r-1 b:00"),
    ]);
    installed.parts.insert("b".into(), BTreeMap::from([("recipe".into(), "r".into())]));
    insta::assert_snapshot!(installed.to_text().replace('\t', "^I"), @r"
    [buildout]
    installed_develop_eggs = 
    parts = a b

    [a]
    __buildout_installed__ = /b/parts/a
    ^I/b/bin/a
    __buildout_signature__ = r-1 b:00
    esc = $${z} $$ $x
    x = l1
    ^I%(__buildout_space_n__)s%(__buildout_space__)s%(__buildout_space__)sl2

    [b]
    recipe = r
    ");
}

#[test]
fn white_space_is_spelled_where_it_would_be_lost() {
    let n = "%(__buildout_space_n__)s";
    let s = "%(__buildout_space__)s";
    assert_eq!(value("a b\tc"), "a b\tc");
    assert_eq!(value("\na"), format!("{n}a"));
    assert_eq!(value("a\n"), format!("a{n}"));
    assert_eq!(value("\n"), n);
    assert_eq!(value("\n\n"), format!("{n}{n}"));
    assert_eq!(value(" a "), format!("{s}a{s}"));
    assert_eq!(value("  "), format!("{s}{s}"));
    assert_eq!(value("a  \n b"), format!("a{s}{s}\n\t{s}b"));
    assert_eq!(value("a\rb"), "a%(__buildout_space_r__)sb");
}

#[test]
fn what_the_form_cannot_hold_is_left_out() {
    let odd = one(&[("a b", "1"), ("#c", "1"), ("d+", "1"), ("e:f", "1"), ("", "1"), ("-ok", "1")]);
    let read = Installed::parse("i", &odd.to_text()).unwrap();
    assert_eq!(read, one(&[("-ok", "1")]));
}

#[test]
fn what_the_original_appends_is_understood() {
    let text = "[buildout]\ninstalled_develop_eggs = /e/x.egg-link\nparts = a b\n\n[a]\nx = 1\n\n\
                [b]\n\n[buildout]\nparts = b\n";
    let read = Installed::parse("i", text).unwrap();
    assert_eq!(read.develop_eggs, ["/e/x.egg-link"]);
    assert_eq!(read.parts.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_damaged_file_is_an_error_with_its_line() {
    let error = Installed::parse("i.cfg", "[buildout]\nparts = a\n").unwrap_err();
    insta::assert_snapshot!(error, @"i.cfg lists the part `a` and has no section [a]");
    let error = Installed::parse("i.cfg", "[buildout]\nparts = a\n\u{0}\n").unwrap_err();
    insta::assert_snapshot!(error, @"i.cfg:3: this is neither an option nor a section header");
}

#[test]
fn a_file_is_written_once_kept_and_removed_with_the_last_part() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".installed.cfg");
    let file = InstalledFile::new(Some(&path), false);
    let mut ledger = Ledger::default();
    assert!(file.is_current(&ledger));
    ledger.parts.insert("a".into(), Entry::whole_for_tests("r", &["/x/a"]));
    assert!(!file.is_current(&ledger));
    file.write(&ledger).unwrap();
    assert!(file.is_current(&ledger));
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let before = inode(&path);
    file.write(&ledger).unwrap();
    assert_eq!(inode(&path), before);
    file.write(&Ledger::default()).unwrap();
    assert!(!path.exists());
    std::fs::create_dir(&path).unwrap();
    assert!(file.write(&Ledger::default()).is_err() && path.is_dir());
}

/// Words and all white space that has a spelling; tabs only inside a line.
fn values() -> impl Strategy<Value = String> {
    let word = prop_oneof!["[-!#;:=\\[\\]{}$%.é~a-z0-9]{1,6}", "[a-z]\t[a-z]"];
    let piece = prop_oneof![3 => word, 2 => "[ \n\r\u{c}\u{b}]{1,4}"];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn values_come_back(values in prop::collection::btree_map("[-_<>.a-z]{0,3}[a-z]", values(), 0..6)) {
        let parts = IndexMap::from([("p-1.x".to_owned(), values)]);
        let installed = Installed { parts, ..Installed::default() };
        prop_assert_eq!(Installed::parse("i", &installed.to_text()).unwrap(), installed);
    }

    #[test]
    fn whatever_is_read_is_written_in_a_form_that_stays(text in "(\\[[a-z]{1,3}\\]\n|[a-z =+\t%]{0,9}\n|[ \ta-z]*|.{0,5}\n){0,12}") {
        if let Ok(read) = Installed::parse("i", &format!("[buildout]\nparts = a\n[a]\n{text}")) {
            let once = read.to_text();
            let again = Installed::parse("i", &once).unwrap().to_text();
            prop_assert_eq!(Installed::parse("i", &again).unwrap().to_text(), again);
        }
    }

    #[test]
    fn anything_can_be_read(text in any::<String>()) {
        let _ = Installed::parse("i", &text);
    }
}
