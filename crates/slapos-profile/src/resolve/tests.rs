//! Substitution, initialisation order, references and escapes.

use super::*;
use crate::testing::{Recipes, load};

/// Resolves `[s]` and shows its options but the recipe.
fn resolved(text: &str) -> String {
    let profile = load(text).unwrap();
    let mut resolver = Resolver::new(&profile);
    match resolver.section(&mut Recipes::default(), "s") {
        Ok(()) => shown(&resolver, "s"),
        Err(error) => error.to_string(),
    }
}

fn shown(resolver: &Resolver<'_>, section: &str) -> String {
    let options = resolver.get(section).unwrap().options.iter();
    let shown = options
        .filter(|(name, _)| *name != "recipe")
        .map(|(name, o)| format!("{name}={}", o.value.escape_debug()));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn references_are_replaced() {
    let cases = [
        ("[s]\na = ${:b}-${t:x}\nb = 1\n[t]\nx = ${:y}\ny = 2\n", "a=1-2 b=1"),
        ("[s]\na = ${:_buildout_section_name_} ${t:_buildout_section_name_}\n[t]\n", "a=s s"),
        (
            "[s]\na = ${:_buildout_section_name_}\n_buildout_section_name_ = x\n",
            "a=x _buildout_section_name_=x",
        ),
        ("[s]\n<= m\nx = 2\n[m]\nx = 1\ny = ${:x}${:_buildout_section_name_}\n", "x=2 y=2s"),
        ("[s]\na = $x $ {b} ${unclosed\n", "a=$x $ {b} ${unclosed"),
        ("[s]\na = ${t:x}\n[t]\nrecipe = r\nx = ${:recipe}\n", "a=r"),
        ("[s]\na = ${t:location}/bin\n[t]\nrecipe = r\n", "a=/parts/t/bin"),
        // Escapes survive being substituted and are read once.
        ("[s]\na = $${x:y} $$ ${:b}\nb = $${z}\n", "a=${x:y} $$ ${z} b=${z}"),
        ("[s]\na = ${:b}\nb = ${:c}\nc = $${d:e}\n", "a=${d:e} b=${d:e} c=${d:e}"),
        ("[s]\na = ${buildout:directory} ${buildout:parts-directory}\n", "a=/p parts"),
        ("[s]\na =\n  x\n    ${:b}\nb = 1\n  2\n", "a=x\\n  1\\n2 b=1\\n2"),
        // What a recipe sets is neither substituted nor unescaped.
        ("[s]\na = ${t:o} ${t:p}\n[t]\nrecipe = r\nset = o=$x p=q\n", "a=$x q"),
        // A section that is being initialised can be read, and no false cycle is seen.
        ("[s]\na = ${t:z}\n[t]\nz = 1\ny = ${s:a}\n", "a=1"),
    ];
    for (text, expected) in cases {
        assert_eq!(resolved(text), expected, "for {text:?}");
    }
}

#[test]
fn what_recipes_set_is_read_back_exactly() {
    let profile = load("[s]\na = ${t:o}|${t:p}\n[t]\nx = 1\n").unwrap();
    let mut resolver = Resolver::new(&profile);
    resolver.set("t", "o", "${no:reference}");
    resolver.set("t", "p", "$${x}");
    let host = &mut Recipes::default();
    assert_eq!(resolver.option(host, "s", "a").unwrap(), "${no:reference}|$${x}");
    assert_eq!(resolver.option(host, "t", "p").unwrap(), "$${x}");
    let again = resolver.substitute(host, "s", "<${:a}>", None).unwrap();
    assert_eq!(unescape(&again), "<${no:reference}|$${x}>");
}

#[test]
fn parts_end_in_order_and_know_what_they_need() {
    let profile = load(
        "[buildout]\nparts = s\nx = 1\n[s]\nrecipe = r\nb = ${t:location}\na = ${u:x} ${buildout:x} ${s:b}\n\
         needs = v\n[t]\nrecipe = r\n[u]\nx = ${w:location}\n[v]\nrecipe = r\n[w]\nrecipe = r\n\
         => y\n[y]\nrecipe = r\n[unused]\nrecipe = broken\n",
    )
    .unwrap();
    let mut resolver = Resolver::new(&profile);
    let mut host = Recipes::default();
    resolver.section(&mut host, "s").unwrap();
    resolver.section(&mut host, "s").unwrap();
    assert_eq!(resolver.order(), ["y", "w", "t", "v", "s"]);
    assert_eq!(host.calls, ["y", "w", "t", "s", "v"]);
    let references =
        |s: &str| resolver.get(s).unwrap().references.iter().cloned().collect::<Vec<_>>();
    assert_eq!(references("s"), ["t", "u", "v"]);
    assert_eq!(references("u"), ["w"]);
    assert_eq!(references("w"), ["y"]);
    assert_eq!(resolver.get("s").unwrap().get("got"), Some("/parts/v"));
    let names: Vec<_> = resolver.get("s").unwrap().options.keys().map(String::as_str).collect();
    assert_eq!(names, ["recipe", "b", "a", "needs", "got", "location"]);
}

#[test]
fn options_can_be_preset_set_and_removed() {
    let profile =
        load("[buildout]\nbin-directory = b\n[s]\na = ${buildout:bin-directory}\n").unwrap();
    let mut resolver = Resolver::new(&profile);
    let host = &mut Recipes::default();
    resolver.set("buildout", "bin-directory", "/d/b");
    resolver.set("fresh", "o", "v");
    assert_eq!(resolver.option(host, "s", "a").unwrap(), "/d/b");
    assert_eq!(resolver.option(host, "fresh", "o").unwrap(), "v");
    resolver.set("s", "a", "2");
    assert_eq!(resolver.option(host, "s", "a").unwrap(), "2");
    assert!(resolver.remove("s", "a"));
    assert!(!resolver.remove("s", "a"));
    assert_eq!(resolver.try_option(host, "s", "a").unwrap(), None);
    assert_eq!(resolver.get("fresh").unwrap().options["o"].span, None);
}

#[test]
fn a_failed_section_fails_again() {
    let profile = load("[s]\nrecipe = broken\n").unwrap();
    let mut resolver = Resolver::new(&profile);
    for _ in 0..2 {
        assert!(resolver.section(&mut Recipes::default(), "s").is_err());
        assert!(resolver.get("s").is_none());
    }
    assert!(resolver.order().is_empty());
}

#[test]
fn depth_is_bounded() {
    let mut sections = String::new();
    let mut options = "[s]\n".to_owned();
    let mut both = String::new();
    for n in 0..3000 {
        let next = n + 1;
        let name = if n == 0 { "s".to_owned() } else { format!("s{n}") };
        sections.push_str(&format!("[{name}]\nrecipe = r\na = ${{s{next}:a}}\n"));
        options.push_str(&format!("o{n} = ${{:o{next}}}\n"));
        both.push_str(&format!("[{name}]\na = ${{:b}}\nb = ${{s{next}:a}}\n"));
    }
    for text in [sections, options, both] {
        let profile = load(&text).unwrap();
        let mut resolver = Resolver::new(&profile);
        let error = resolver.section(&mut Recipes::default(), "s").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooDeep);
    }
}

#[test]
fn real_depths_are_fine() {
    let mut text = String::new();
    for n in 0..100 {
        let name = if n == 0 { "s".to_owned() } else { format!("s{n}") };
        text.push_str(&format!("[{name}]\nrecipe = r\na = ${{s{}:location}}\n", n + 1));
    }
    text.push_str("[s100]\nrecipe = r\n");
    assert!(resolved(&text).starts_with("a=/parts/s1 "));
}

#[test]
fn doubling_is_bounded() {
    let mut text = "[s]\n".to_owned();
    for n in 0..60 {
        text.push_str(&format!("o{n:02} = ${{:o{next:02}}}${{:o{next:02}}}\n", next = n + 1));
    }
    text.push_str("o60 = laugh\n");
    let profile = load(&text).unwrap();
    let error = Resolver::new(&profile).section(&mut Recipes::default(), "s").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
