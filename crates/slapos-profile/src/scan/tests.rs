//! One case per rule of the line format.

use crate::testing::{load, merged};

#[test]
fn values() {
    let cases = [
        ("[s]\na = 1 # z\nb=\nc =  x  \n", "[s] a=1 # z b= c=x"),
        ("[s]\r\na = 1\r\n  2\r\nb = 3\r", "[s] a=1\\n2 b=3"),
        ("\u{feff}[s]\na = 1", "[s] a=1"),
        ("# c\n; d\n\n[s] # comment\n\na = 1\n[t]; other ]\n", "[s] a=1; [t]"),
        // Continuations are stripped, blank ones dropped, comments in the first column too.
        ("[s]\na = 1\n    2  \n\n# no\n; no\n\t3\n  # yes\n", "[s] a=1\\n2\\n3\\n# yes"),
        // A block keeps its inner layout.
        ("[s]\na =\n   a\n     b\n\n   c\n\n\nb = 1", "[s] a=a\\n  b\\n\\nc b=1"),
        ("[s]\na =\n\n\n   a\n# gone\n   b   \n", "[s] a=a\\nb"),
        ("[s]\na =\n\ta\n    b\n", "[s] a=\\ta\\n    b"),
        ("[s]\na =\n    a\n\t\n  b\n", "[s] a=  a\\n\\nb"),
        ("[s]\na =\n   \n\n", "[s] a="),
        (
            "[s]\na = x =y\n-b = 1\n=> c d\n<= m\nx.y/z = 2\n",
            "[s] a=x =y -b=1 <part-dependencies>=c d <=m x.y/z=2",
        ),
        ("[s]\n< = m\n  n\n=>\n  c\n", "[s] <=m\\nn <part-dependencies>=c"),
        ("[s]\na = 1\n[t]\nb = 2\n[ s ]\nc = 3\na = 4\n", "[s] a=4 c=3; [t] b=2"),
        ("[a.b-c_d/e<f>]\nx = é\n  ü\n", "[a.b-c_d/e<f>] x=é\\nü"),
        (
            "[s:linux]\na = 1\n[s:windows]\na = 2\n  3\njunk in a skipped section\n[t:]\nb = 1",
            "[s] a=1; [t] b=1",
        ),
        ("[w:windows]\na = 1\n[s]\nb = 1\n", "[s] b=1"),
        ("[s:platform.machine() in ['x86_64'] and python3]#x\na = 1\n", "[s] a=1"),
        ("[s:sys.version_info < (3,8)]\na = 1\n", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(merged(text), expected, "for {text:?}");
    }
}

#[test]
fn operators_within_one_file() {
    let cases = [
        ("[s]\na += 1\n", "[s] a=\\n1"),
        ("[s]\na -= 1\n", "[s] a="),
        ("[s]\na += 2\na = 1\n", "[s] a=1\\n2"),
        ("[s]\na -= 1\na += 2\na =\n  1\n  3\n", "[s] a=3\\n2"),
        // The last `a +=` written the same way wins; written differently, both count.
        ("[s]\na = 0\na += 1\na += 2\n", "[s] a=0\\n2"),
        ("[s]\na = 0\na += 1\na+=2\n", "[s] a=0\\n1\\n2"),
        ("[s]\nc++ = 4\nd-=1\n", "[s] c=\\n4 d="),
        ("[s]\na = 1\na -=\n  1\n", "[s] a="),
    ];
    for (text, expected) in cases {
        assert_eq!(merged(text), expected, "for {text:?}");
    }
}

#[test]
fn every_line_of_a_value_has_its_place() {
    let profile = load("[s]\na = one\n\n    two\nb =\n\n      x\n        y\na += six\n").unwrap();
    let section = &profile.sections()["s"];
    let origin = |option: &str, text: &str| {
        let value = &section.options[option];
        let (span, column) = value.origin(value.value.find(text).unwrap());
        (profile.location(span), column)
    };
    assert_eq!(origin("a", "one"), ("/p/main.cfg:2".to_owned(), 4));
    assert_eq!(origin("a", "wo"), ("/p/main.cfg:4".to_owned(), 5));
    assert_eq!(origin("a", "six"), ("/p/main.cfg:9".to_owned(), 5));
    assert_eq!(origin("b", "x"), ("/p/main.cfg:7".to_owned(), 6));
    assert_eq!(origin("b", "y"), ("/p/main.cfg:8".to_owned(), 8));
    let steps: Vec<_> =
        section.options["a"].history().iter().map(|s| (s.op, s.span.line)).collect();
    assert_eq!(steps, [(crate::Operator::Set, 2), (crate::Operator::Add, 9)]);
}
