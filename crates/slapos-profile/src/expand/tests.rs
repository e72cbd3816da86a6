//! What a section becomes when its macros are applied.

use crate::testing::{load, show};
use crate::{ErrorKind, Operator};

fn expanded(text: &str, section: &str) -> String {
    show(section, &load(text).unwrap().expand(section).unwrap())
}

#[test]
fn macros_are_applied() {
    let base = "[m]\nx = 1\ny = m\n[n]\nx = 2\nz = n\n";
    let cases = [
        ("[s]\n<= m\ny = s\n", "[s] x=1 y=s"),
        ("[s]\n<= m\n   n\n", "[s] x=2 y=m z=n"),
        ("[s]\n<= n\n   m\n", "[s] x=1 z=n y=m"),
        ("[s]\n<=\n\n  m\n", "[s] x=1 y=m"),
        ("[s]\n<= m\nx += 2\ny -= m\nw += 3\n", "[s] x=1\\n2 y= w=\\n3"),
        ("[s]\n<= m\nx = 5\nx += 6\n", "[s] x=5\\n6 y=m"),
        ("[s]\n<= t\n[t]\n<= m\nx += t\n", "[s] x=1\\nt y=m"),
        ("[s]\n<= t\nx += s\n[t]\n<= m\nx += t\n", "[s] x=1\\nt\\ns y=m"),
        // Diamond: each macro is taken as it is, later ones over earlier ones.
        ("[s]\n<= a\n  b\n[a]\n<= m\nx = a\n[b]\n<= m\n", "[s] x=1 y=m"),
        (
            "[s]\n<= r\n[r]\nu = ${:x}\nv = ${:_buildout_section_name_}\n",
            "[s] u=${:x} v=${:_buildout_section_name_}",
        ),
        ("[s]\nx = 1\n", "[s] x=1"),
    ];
    for (text, expected) in cases {
        assert_eq!(expanded(&format!("{base}{text}"), "s"), expected, "for {text:?}");
    }
}

#[test]
fn buildout_has_no_macros() {
    let profile = load("[buildout]\n<= nothing\n").unwrap();
    assert_eq!(profile.expand("buildout").unwrap().get("<"), Some("nothing"));
}

#[test]
fn history_tells_where_a_value_came_from() {
    let profile = load("[m]\nx = 1\n[s]\n<= m\nx += 2\n").unwrap();
    let section = profile.expand("s").unwrap();
    let history = section.options["x"].history();
    let steps: Vec<_> = history.iter().map(|s| (s.op, s.span.line, &*s.value)).collect();
    assert_eq!(steps, [(Operator::Set, 2, "1"), (Operator::Add, 5, "2")]);
    assert_eq!(section.header.line, 3);
}

#[test]
fn wide_diamonds_cost_nothing_and_long_chains_are_refused() {
    let mut wide = "[s0]\nx = 1\n".to_owned();
    for n in 1..60 {
        wide.push_str(&format!("[s{n}]\n<= s{0}\n   s{0}\n", n - 1));
    }
    assert_eq!(expanded(&wide, "s59"), "[s59] x=1");
    let mut long = "[s0]\nx = 1\n".to_owned();
    for n in 1..500 {
        long.push_str(&format!("[s{n}]\n<= s{}\n", n - 1));
    }
    assert_eq!(load(&long).unwrap().expand("s499").unwrap_err().kind(), ErrorKind::TooDeep);
}
