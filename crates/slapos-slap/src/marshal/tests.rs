//! Round trips, examples captured from the original, and hostile documents.

use proptest::prelude::*;

use super::*;

fn text(value: &Value) -> String {
    dumps(value).unwrap()
}

#[test]
fn scalars_as_the_original_writes_them() {
    assert_eq!(text(&Value::None), "<marshal><none/></marshal>");
    assert_eq!(text(&Value::Bool(true)), "<marshal><bool>1</bool></marshal>");
    assert_eq!(text(&Value::Int(-3)), "<marshal><int>-3</int></marshal>");
    assert_eq!(text(&Value::Float(1.5)), "<marshal><float>1.5</float></marshal>");
    assert_eq!(text(&Value::str("abc")), "<marshal><string>abc</string></marshal>");
    assert_eq!(text(&Value::str("")), "<marshal><string></string></marshal>");
    assert_eq!(
        text(&Value::str("é<&>\"'")),
        "<marshal><string>&#233;&amp;lt;&amp;amp;&amp;gt;\"'</string></marshal>"
    );
}

#[test]
fn containers_as_the_original_writes_them() {
    let list = Value::List(vec![Value::Int(1), Value::str("a")]);
    insta::assert_snapshot!(text(&list), @r#"<marshal><list id="i2"><int>1</int><string>a</string></list></marshal>"#);
    let dict = Value::dict([("b", Value::List(vec![])), ("a", Value::Tuple(vec![]))]);
    insta::assert_snapshot!(text(&dict), @r#"<marshal><dictionary id="i2"><string>a</string><tuple/><string>b</string><list id="i3"/></dictionary></marshal>"#);
}

#[test]
fn tolerances() {
    let expected = Value::dict([("a", Value::List(vec![Value::Int(7), Value::str("x")]))]);
    let bare = "<?xml version='1.0'?>\n<dictionary>\n <unicode>a</unicode>\n <list>\n\
                <long> 7 </long><string>x</string></list></dictionary>\n";
    assert_eq!(loads(bare), Ok(expected));
    assert_eq!(loads("<string>a&lt;b</string>"), Ok(Value::str("a<b")));
    assert_eq!(loads("<string>a&amp;lt;b &amp;amp;lt;</string>"), Ok(Value::str("a<b &lt;")));
    assert_eq!(loads("<string>\n a </string>"), Ok(Value::str("\n a ")));
    let shared = "<list id=\"i2\"><list id=\"i3\"/><reference id=\"i3\"/></list>";
    let twice = Value::List(vec![Value::List(vec![]), Value::List(vec![])]);
    assert_eq!(loads(shared), Ok(twice));
}

fn refusal(document: &str) -> String {
    loads(document).unwrap_err().to_string()
}

#[test]
fn refusals_say_what_is_wrong() {
    insta::assert_snapshot!(refusal(""), @"not a marshalled value at byte 0: the document is empty");
    insta::assert_snapshot!(refusal("<marshal><bool>true</bool></marshal>"), @r#"not a marshalled value at byte 26: "true" is not a <bool>"#);
    insta::assert_snapshot!(refusal("<code>x</code>"), @"not a marshalled value at byte 6: <code> is not a kind of value");
    insta::assert_snapshot!(refusal("<list id='a'><reference id='a'/></list>"), @"not a marshalled value at byte 32: the value a contains itself");
    insta::assert_snapshot!(refusal("<reference id='z'/>"), @r#"not a marshalled value at byte 19: reference to "z", which was not seen before"#);
    insta::assert_snapshot!(refusal("<object id='i2' module='os' class='system'><tuple/><dictionary/></object>"), @"objects of class os.system may not be marshalled");
    insta::assert_snapshot!(refusal("<dictionary><int>1</int><int>2</int></dictionary>"), @"not a marshalled value at byte 24: a dictionary key that is not text");
    insta::assert_snapshot!(refusal("<marshal><none/><none/></marshal>"), @"not a marshalled value at byte 23: <none> is one too many in <marshal>");
    insta::assert_snapshot!(refusal("<int>99999999999999999999</int>"), @r#"not a marshalled value at byte 31: "99999999999999999999" is not a <int>"#);
    insta::assert_snapshot!(dumps(&Value::str("a\u{0}b")).unwrap_err(), @r#"the character U+0000 cannot be written in XML; remove it from "a\0b""#);
}

#[test]
fn hostile_documents_stay_small() {
    let deep = "<list>".repeat(100_000);
    assert_eq!(refusal(&deep), "marshalled value refused: nested deeper than 64");
    let mut doubling = "<list><list id='0'/>".to_owned();
    for step in 1..40 {
        let one = step - 1;
        doubling.push_str(&format!(
            "<list id='{step}'><reference id='{one}'/><reference id='{one}'/></list>"
        ));
    }
    doubling.push_str("</list>");
    assert_eq!(refusal(&doubling), "marshalled value refused: more than 1000000 values");
}

fn any_text() -> impl Strategy<Value = String> {
    "[ -~\\n\\t\\ré€𝄞&<>;]{0,12}"
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        any_text().prop_map(Value::Str),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let dict = prop::collection::vec((any_text(), inner.clone()), 0..5).boxed();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Tuple),
            dict.clone().prop_map(Value::dict),
            (prop::collection::vec(inner, 0..3), dict).prop_map(|(initargs, items)| {
                Value::object(Class::SoftwareInstance, initargs, items.into_iter().collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        let document = dumps(&value).unwrap();
        prop_assert!(document.is_ascii());
        prop_assert_eq!(loads(&document).unwrap(), value);
    }

    #[test]
    fn nothing_makes_the_reader_panic(document in "(<[a-z]{1,6}( id='[a-c]')?/?>|</[a-z]{1,6}>|[ -~]|&[a-z#0-9]{0,4};){0,40}") {
        let _ = loads(&document);
    }
}
