//! Usage reports: the `<consumption>` of one partition and the `<journal>` of a computer, with the
//! rules of the original's two XML schemas, checked without a schema processor.
//!
//! Invariant: a document that is read was valid by those rules, and one that is made here is.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use crate::words::{ComputerId, PartitionId};
use crate::xml::{Cursor, Tag, Token, XmlError};

/// Deeper elements are in neither document.
const DEEPEST: usize = 8;

/// What is wrong with a usage report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl From<XmlError> for UsageError {
    fn from(error: XmlError) -> UsageError {
        UsageError(format!("at byte {}: {}", error.at, error.reason))
    }
}

/// What one partition consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumption {
    /// At least one.
    pub movements: Vec<Movement>,
}

/// An amount of something that was consumed. Numbers are kept as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// What was consumed.
    pub resource: String,
    /// A title for people.
    pub title: Option<String>,
    /// Whose it is; in a journal, the partition's name.
    pub reference: Option<String>,
    /// How much: an XML Schema `float`.
    pub quantity: String,
    /// For how much: an XML Schema `float`.
    pub price: String,
    /// Value added tax, as text.
    pub vat: String,
    /// Categories of the Master.
    pub categories: Vec<String>,
}

/// Reads the report of a partition.
///
/// # Errors
/// When it is not XML, or not a `<consumption>` as the schema has it.
pub fn read_consumption(text: &str) -> Result<Consumption, UsageError> {
    let root = document(text, "consumption")?;
    root.refuse_attributes(&[])?;
    let mut fields = root.sequence()?;
    let movements = fields.several("movement", 1)?;
    fields.end()?;
    let movements = movements.iter().map(Movement::read).collect::<Result<_, _>>()?;
    Ok(Consumption { movements })
}

/// Reads a computer's report.
///
/// # Errors
/// When it is not XML, or not a `<journal>` as the schema has it.
pub fn read_journal(text: &str) -> Result<Vec<Transaction>, UsageError> {
    let root = document(text, "journal")?;
    root.refuse_attributes(&[])?;
    let mut fields = root.sequence()?;
    let transactions = fields.several("transaction", 1)?;
    fields.end()?;
    transactions.iter().map(read_transaction).collect()
}

fn read_transaction(transaction: &Element) -> Result<Transaction, UsageError> {
    transaction.require_attribute("type")?;
    let mut fields = transaction.sequence()?;
    let title = fields.optional_text("title")?.unwrap_or_default();
    let mut text = |name| fields.text(name);
    let (start_date, stop_date, reference) =
        (text("start_date")?, text("stop_date")?, text("reference")?);
    text("currency")?;
    text("payment_mode")?;
    fields.texts("category")?;
    let arrows = fields.several("arrow", 1)?;
    for arrow in arrows {
        arrow.require_attribute("type")?;
        let mut fields = arrow.sequence()?;
        fields.optional_text("source")?;
        fields.optional_text("destination")?;
        fields.end()?;
    }
    let movements = fields.several("movement", 1)?;
    fields.end()?;
    let movements = movements.iter().map(Movement::read).collect::<Result<_, _>>()?;
    let kind = arrows.first().and_then(|arrow| arrow.tag.get("type"));
    let arrow = kind.unwrap_or_default().to_owned();
    Ok(Transaction { title, start_date, stop_date, reference, arrow, movements })
}

/// One transaction of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// A title for people.
    pub title: String,
    /// When the time begins that it is about; may be empty.
    pub start_date: String,
    /// When that time ends.
    pub stop_date: String,
    /// Names it.
    pub reference: String,
    /// The kind of its first arrow.
    pub arrow: String,
    /// At least one.
    pub movements: Vec<Movement>,
}

impl Transaction {
    /// A journal of this transaction alone; the schema takes it if it has a movement.
    pub fn to_journal(&self) -> String {
        let mut out = format!(
            "<?xml version=\"1.0\"?><journal><transaction type=\"Sale Packing List\">\
             <title>{}</title><start_date>{}</start_date>\
             <stop_date>{}</stop_date><reference>{}</reference><currency></currency>\
             <payment_mode></payment_mode><category></category>\
             <arrow type=\"{}\"><source></source><destination></destination></arrow>",
            escape(&self.title),
            escape(&self.start_date),
            escape(&self.stop_date),
            escape(&self.reference),
            escape(&self.arrow),
        );
        self.movements.iter().for_each(|movement| movement.write(&mut out));
        out.push_str("</transaction></journal>");
        out
    }
}

/// The journal that a node sends of its partitions; `stop_date` is when it was made. A movement's
/// reference becomes its partition's name, whatever it was.
pub fn journal(
    computer: &ComputerId,
    stop_date: &str,
    consumptions: &[(PartitionId, Consumption)],
) -> String {
    let named = consumptions.iter().flat_map(|(partition, consumption)| {
        consumption.movements.iter().map(|movement| {
            let reference = movement.reference.as_ref().map(|_| partition.to_string());
            Movement { reference, ..movement.clone() }
        })
    });
    let transaction = Transaction {
        title: "Resource consumptions".to_owned(),
        start_date: String::new(),
        stop_date: stop_date.to_owned(),
        reference: computer.to_string(),
        arrow: "Administration".to_owned(),
        movements: named.collect(),
    };
    transaction.to_journal()
}

impl Movement {
    fn read(element: &Element) -> Result<Movement, UsageError> {
        element.refuse_attributes(&[])?;
        let mut fields = element.sequence()?;
        let movement = Movement {
            resource: fields.text("resource")?,
            title: fields.optional_text("title")?,
            reference: fields.optional_text("reference")?,
            quantity: float(&fields.text("quantity")?, "quantity")?,
            price: float(&fields.text("price")?, "price")?,
            vat: fields.text("VAT")?,
            categories: fields.texts("category")?,
        };
        fields.end()?;
        Ok(movement)
    }

    fn write(&self, out: &mut String) {
        out.push_str("<movement>");
        let mut put = |name: &str, text: &str| {
            let _ = write!(out, "<{name}>{}</{name}>", escape(text));
        };
        put("resource", &self.resource);
        if let Some(title) = &self.title {
            put("title", title);
        }
        if let Some(reference) = &self.reference {
            put("reference", reference);
        }
        put("quantity", &self.quantity);
        put("price", &self.price);
        put("VAT", &self.vat);
        self.categories.iter().for_each(|category| put("category", category));
        out.push_str("</movement>");
    }
}

/// XML Schema's `float`: a decimal number with or without exponent, `INF`, `-INF` or `NaN`.
fn float(text: &str, name: &str) -> Result<String, UsageError> {
    let trimmed = text.trim();
    let number = trimmed.parse::<f32>().is_ok()
        && trimmed.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match number || ["INF", "-INF", "NaN"].contains(&trimmed) {
        true => Ok(trimmed.to_owned()),
        false => Err(UsageError(format!("<{name}> is no number: {text:?}"))),
    }
}

/// An element with all that is in it.
struct Element {
    tag: Tag,
    text: String,
    children: Vec<Element>,
}

fn document(text: &str, name: &str) -> Result<Element, UsageError> {
    let mut cursor = Cursor::new(text);
    let root = match cursor.next_tag()? {
        Token::Open(tag) if tag.name == name => Element::read(&mut cursor, tag, DEEPEST)?,
        _ => return Err(UsageError(format!("the document must be a <{name}>"))),
    };
    cursor.finish()?;
    Ok(root)
}

impl Element {
    fn read(cursor: &mut Cursor<'_>, tag: Tag, depth: usize) -> Result<Element, UsageError> {
        let mut element = Element { tag, text: String::new(), children: Vec::new() };
        if depth == 0 {
            return Err(cursor.fail("elements are nested too deeply").into());
        }
        loop {
            match cursor.next()? {
                Token::Open(tag) => element.children.push(Element::read(cursor, tag, depth - 1)?),
                Token::Text(text) => element.text.push_str(&text),
                Token::Close | Token::End => return Ok(element),
            }
        }
    }

    fn name(&self) -> &str {
        &self.tag.name
    }

    /// Only those attributes; declarations of name spaces and of schemas are always allowed.
    fn refuse_attributes(&self, known: &[&str]) -> Result<(), UsageError> {
        let fine = |name: &str| {
            known.contains(&name) || name.starts_with("xmlns:") || name.starts_with("xsi:")
        };
        match self.tag.attributes.iter().find(|(name, _)| !fine(name)) {
            None => Ok(()),
            Some((name, _)) => {
                Err(UsageError(format!("<{}> may not have the attribute {name}", self.name())))
            }
        }
    }

    fn require_attribute(&self, name: &str) -> Result<(), UsageError> {
        self.refuse_attributes(&[name])?;
        match self.tag.get(name) {
            Some(_) => Ok(()),
            None => Err(UsageError(format!("<{}> needs the attribute {name}", self.name()))),
        }
    }

    /// What is in an element that has elements only.
    fn sequence(&self) -> Result<Sequence<'_>, UsageError> {
        if !self.text.trim().is_empty() {
            return Err(UsageError(format!("<{}> may not have text of its own", self.name())));
        }
        Ok(Sequence { of: self, rest: &self.children })
    }

    /// What is in an element that has text only.
    fn only_text(&self) -> Result<String, UsageError> {
        self.refuse_attributes(&[])?;
        match self.children.as_slice() {
            [] => Ok(self.text.clone()),
            _ => Err(UsageError(format!("<{}> may have text only", self.name()))),
        }
    }
}

/// Elements that must come in a given order.
struct Sequence<'a> {
    of: &'a Element,
    rest: &'a [Element],
}

impl<'a> Sequence<'a> {
    fn next_named(&mut self, name: &str) -> Option<&'a Element> {
        let (first, rest) = self.rest.split_first()?;
        if first.name() != name {
            return None;
        }
        self.rest = rest;
        Some(first)
    }

    fn text(&mut self, name: &str) -> Result<String, UsageError> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name))
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<String>, UsageError> {
        self.next_named(name).map(Element::only_text).transpose()
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, UsageError> {
        std::iter::from_fn(|| self.next_named(name)).map(Element::only_text).collect()
    }

    fn several(&mut self, name: &str, least: usize) -> Result<&'a [Element], UsageError> {
        let all = self.rest;
        while self.next_named(name).is_some() {}
        let found = &all[..all.len() - self.rest.len()];
        if found.len() < least { Err(self.missing(name)) } else { Ok(found) }
    }

    fn end(&self) -> Result<(), UsageError> {
        match self.rest.first() {
            None => Ok(()),
            Some(odd) => Err(UsageError(format!(
                "<{}> is not expected here in <{}>",
                odd.name(),
                self.of.name()
            ))),
        }
    }

    fn missing(&self, name: &str) -> UsageError {
        let instead = self.rest.first().map(|odd| format!(", and there is <{}>", odd.name()));
        let instead = instead.unwrap_or_default();
        UsageError(format!("<{}> needs <{name}> here{instead}", self.of.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPORT: &str = "<?xml version='1.0' encoding='utf-8'?>\n<consumption>\n  <movement>\n\
        <resource>CPU</resource><title>a &lt; b</title><reference>me</reference>\
        <quantity> 1.5e3 </quantity><price>0.0</price><VAT></VAT>\
        <category>one</category><category>two</category>\n</movement>\n</consumption>\n";

    fn reason(text: &str) -> String {
        read_consumption(text).unwrap_err().to_string()
    }

    #[test]
    fn a_report_becomes_movements_of_the_journal() {
        let consumption = read_consumption(REPORT).unwrap();
        assert_eq!(consumption.movements[0].quantity, "1.5e3");
        let reports = [("slappart0".into(), consumption)];
        let text = journal(&"COMP-1".into(), "2026-01-02 at 03:04:05", &reports);
        read_journal(&text).unwrap();
        insta::assert_snapshot!(text.replace("<movement>", "\n<movement>"), @r#"
        <?xml version="1.0"?><journal><transaction type="Sale Packing List"><title>Resource consumptions</title><start_date></start_date><stop_date>2026-01-02 at 03:04:05</stop_date><reference>COMP-1</reference><currency></currency><payment_mode></payment_mode><category></category><arrow type="Administration"><source></source><destination></destination></arrow>
        <movement><resource>CPU</resource><title>a &lt; b</title><reference>slappart0</reference><quantity>1.5e3</quantity><price>0.0</price><VAT></VAT><category>one</category><category>two</category></movement></transaction></journal>
        "#);
    }

    #[test]
    fn what_the_schema_refuses_is_refused_with_its_place() {
        let with = |from: &str, to: &str| reason(&REPORT.replace(from, to));
        insta::assert_snapshot!(reason("<journal/>"), @"the document must be a <consumption>");
        insta::assert_snapshot!(reason("<consumption/>"), @"<consumption> needs <movement> here");
        insta::assert_snapshot!(with("<price>0.0</price>", ""), @"<movement> needs <price> here, and there is <VAT>");
        insta::assert_snapshot!(with(" 1.5e3 ", "many"), @r#"<quantity> is no number: "many""#);
        insta::assert_snapshot!(with("</movement>", "<more/></movement>"), @"<more> is not expected here in <movement>");
        insta::assert_snapshot!(with("<movement>", "<movement a='1'>"), @"<movement> may not have the attribute a");
        insta::assert_snapshot!(with("<movement>", "<movement>text"), @"<movement> may not have text of its own");
        insta::assert_snapshot!(with("<VAT></VAT>", "<VAT><a/></VAT>"), @"<VAT> may have text only");
        insta::assert_snapshot!(reason("<consumption>"), @"at byte 13: the document ends inside an element");
        let deep = "<a>".repeat(20);
        assert!(reason(&format!("<consumption>{deep}")).contains("nested too deeply"));
        for number in ["infinity", "nan", "inf", "", "1 2", "0x1"] {
            assert!(with(" 1.5e3 ", number).contains("is no number"), "{number}");
        }
    }

    #[test]
    fn a_journal_needs_its_parts_in_order() {
        let good = journal(&"c".into(), "now", &[("p".into(), read_consumption(REPORT).unwrap())]);
        let reason =
            |from: &str, to: &str| read_journal(&good.replace(from, to)).unwrap_err().to_string();
        insta::assert_snapshot!(reason(" type=\"Administration\"", ""), @"<arrow> needs the attribute type");
        insta::assert_snapshot!(reason("<currency></currency>", ""), @"<transaction> needs <currency> here, and there is <payment_mode>");
        insta::assert_snapshot!(read_journal(&journal(&"c".into(), "now", &[])).unwrap_err(), @"<transaction> needs <movement> here");
    }

    proptest! {
        #[test]
        fn whatever_is_reported_makes_a_valid_journal(
            resource in "[ -~é]{0,20}", title in proptest::option::of("[ -~]{0,20}"),
            quantity in -1e6_f32..1e6, vat in "[<>&\"' a-z]{0,10}",
        ) {
            let movement = Movement {
                resource, title, reference: Some("x".into()), quantity: quantity.to_string(),
                price: "0".into(), vat, categories: vec!["<c>".into()],
            };
            let consumption = Consumption { movements: vec![movement] };
            let text = journal(&"c&<".into(), "now", &[("p".into(), consumption)]);
            prop_assert!(read_journal(&text).is_ok(), "{}", text);
        }

        #[test]
        fn nothing_makes_it_panic(text in "(<consumption>|</consumption>|<movement>|[<>/a-z &;]){0,40}") {
            let _ = read_consumption(&text);
            let _ = read_journal(&text);
        }
    }
}
