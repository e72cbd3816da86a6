//! The document of an object that is in a larger document, without reading that.
//!
//! Only tags have a `<` in what [`super::dumps`] writes, and containers are numbered in the order of the
//! document; so an object is cut out where its tag ends, and what is in it is numbered anew.

use std::fmt::Write as _;

use memchr::{memchr_iter, memmem};

use super::write::{FIRST_ID, Writer};
use super::{Class, MODULE};

/// How the tags of objects begin, as far as they are all the same.
const OBJECT: &str = "<object id=\"i";

/// How the tags of all that is numbered begin.
const NUMBERED: [&str; 3] = [OBJECT, "<dictionary id=\"i", "<list id=\"i"];

const END: &str = "</object>";

/// The first object of that class that was made with these texts and maybe more, as
/// [`dumps`](super::dumps) would write it alone; `None` when there is none in `document`, which is what
/// [`dumps`](super::dumps) wrote.
pub fn cut(document: &str, class: Class, initargs: &[&str]) -> Option<String> {
    let mark = mark(class, initargs)?;
    let at = memmem::find(document.as_bytes(), mark.as_bytes())?;
    let start = document.get(..at)?.rfind(OBJECT)?;
    alone(document.get(start..)?)
}

/// What follows the number of such an object.
fn mark(class: Class, initargs: &[&str]) -> Option<String> {
    let class = class.as_str();
    let mut writer = Writer::begun(format!("\" module=\"{MODULE}\" class=\"{class}\"><tuple>"));
    for text in initargs {
        writer.text(text).ok()?;
    }
    Some(writer.out)
}

/// The object that the text begins with, as a document.
fn alone(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len().min(4096));
    out.push_str("<marshal>");
    let (mut depth, mut number, mut copied) = (0_usize, FIRST_ID, 0);
    for at in memchr_iter(b'<', text.as_bytes()) {
        let tag = text.get(at..)?;
        if tag.starts_with(END) {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                out.push_str(text.get(copied..at + END.len())?);
                out.push_str("</marshal>");
                return Some(out);
            }
        } else if let Some(open) = NUMBERED.iter().find(|open| tag.starts_with(**open)) {
            depth += usize::from(*open == OBJECT);
            let digits = at + open.len();
            out.push_str(text.get(copied..digits)?);
            let _ = write!(out, "{number}");
            number += 1;
            copied = digits + text.get(digits..)?.find('"')?;
        }
    }
    None
}
