//! Twice the profile is twice the work: what grows faster lets a small hostile profile stop a node.
//!
//! Work is measured in allocations and in bytes allocated, which do not depend on the machine or on
//! what else it does.

use std::alloc::System;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use slapos_profile::inspect::{self, Stage};
use slapos_profile::{Files, Host, Location, Profile, ProfileError, ReadError, Resolver};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The counters belong to the whole process: whoever allocates does it alone.
static COUNTERS: Mutex<()> = Mutex::new(());

/// The smaller of the two sizes.
const SIZE: usize = 150;
/// Tables double in jumps, so twice the work may look like a little more.
const ALLOWED: f64 = 2.6;

type Texts = BTreeMap<String, String>;

struct Memory(Texts);

impl Files for Memory {
    fn read(&self, at: &Location) -> Result<String, ReadError> {
        self.0.get(&at.to_string()).cloned().ok_or(ReadError::NotFound)
    }
}

struct NoRecipes;

impl Host for NoRecipes {
    fn initialise(&mut self, _: &mut Resolver<'_>, _: &str) -> Result<(), ProfileError> {
        Ok(())
    }
}

/// A main file.
fn main_file(text: String) -> Texts {
    Texts::from([("/p/main.cfg".to_owned(), text)])
}

/// A main file of `head` and `n` lines.
fn lines(head: &str, n: usize, line: impl Fn(usize) -> String) -> Texts {
    let mut text = format!("{head}\n");
    for index in 0..n {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line(index));
    }
    main_file(text)
}

/// A main file that extends `n` others.
fn files(n: usize, file: impl Fn(usize) -> String) -> Texts {
    let mut texts = lines("[buildout]\nextends =", n, |index| format!("  {index}.cfg"));
    texts.extend((0..n).map(|index| (format!("/p/{index}.cfg"), file(index))));
    texts
}

/// Makes the files of a profile of a size.
type Shape = fn(usize) -> Texts;

/// Hostile shapes by name, each of a size that is proportional to the number.
const SHAPES: &[(&str, Shape)] = &[
    ("additions in one file", |n| lines("[s]", n, |i| format!("x += line {i}"))),
    ("additions in many files", |n| files(n, |i| format!("[s]\nx += line {i}\n"))),
    ("replacements in many files", |n| files(n, |i| format!("[s]\nx = line {i}\n"))),
    ("sections", |n| lines("", n, |i| format!("[s{i}]\nx = 1"))),
    ("lines of a value", |n| lines("[s]\nx =", n, |i| format!("{:1$}{i}", "", i % 9 + 1))),
    ("heirs of one macro", |n| lines("[m]\na = 1\nb = 2", n, |i| format!("[s{i}]\n<= m\na += 3"))),
    ("macros of one section", |n| {
        let mut texts = lines("[s]\n<=", n, |i| format!("  m{i}"));
        if let Some(text) = texts.get_mut("/p/main.cfg") {
            (0..n).for_each(|i| text.push_str(&format!("[m{i}]\nx{i} = 1\n")));
        }
        texts
    }),
    ("a long chain of macros over many options", |n| {
        let mut texts = lines("[s0]", n, |i| format!("x{i} = {i}"));
        if let Some(text) = texts.get_mut("/p/main.cfg") {
            (1..90).for_each(|i| text.push_str(&format!("[s{i}]\n<= s{}\n", i - 1)));
        }
        texts
    }),
    ("too long a chain of macros", |n| lines("[s0]", n, |i| format!("[s{}]\n<= s{i}", i + 1))),
    ("one file extended again and again", |n| {
        let mut texts = lines("[buildout]\nextends =", n, |_| "  a.cfg".to_owned());
        texts.insert("/p/a.cfg".to_owned(), "[s]\nx = 1\n".to_owned());
        texts
    }),
    ("references to one option", |n| lines("[s]\na = b\nx =", n, |_| "  ${:a}".to_owned())),
    ("options that refer to the next", |n| {
        // Well above the depth that is allowed: below it, nothing fails.
        lines("[s]", 7 * n, |i| format!("x{i:05} = ${{:x{:05}}}", i + 1))
    }),
    ("sections that refer to the next", |n| {
        lines("", 7 * n, |i| format!("[s{i:05}]\nx = ${{s{:05}:x}}", i + 1))
    }),
    ("options that refer to each other", |n| {
        lines("[s]", n, |i| format!("a{i} = ${{:b{i}}}\nb{i} = ${{:a{i}}}"))
    }),
    ("options of one section that refer to another one", |n| {
        lines("[t]\ny = 1\n[s]\nrecipe = r", n, |i| format!("x{i} = ${{t:y}}"))
    }),
    ("one line of dollars", |n| main_file(format!("[s]\nx = {}\n", "$".repeat(50 * n)))),
    ("one line of openings", |n| main_file(format!("[s]\nx = {}\n", "${".repeat(50 * n)))),
    ("one line of odd references", |n| {
        main_file(format!("[s]\nx = {}\n", "${a:b$$}".repeat(9 * n)))
    }),
    ("one long name", |n| main_file(format!("[{0}]\n{0} = ${{{0}x:y}}\n", "n".repeat(50 * n)))),
    ("wrong lines", |n| lines("[s]", n, |i| format!("wrong {i}"))),
    ("macros that do not exist", |n| lines("", n, |i| format!("[s{i}]\n<= missing{i}"))),
    ("references that do not exist", |n| lines("[s]", n, |i| format!("x{i} = ${{no{i}:x}}"))),
    ("malformed references", |n| lines("[s]", n, |i| format!("x{i} = ${{no}}"))),
    ("sections with conditions", |n| lines("", n, |i| format!("[s{i}:linux and {i}]\nx = 1"))),
    ("one long condition", |n| main_file(format!("[s:{}1]\nx = 1\n", "1 or ".repeat(n)))),
    ("one long text in a condition", |n| {
        main_file(format!("[s:'{}']\nx = 1\n", "a".repeat(50 * n)))
    }),
];

/// All that can be asked of a profile.
fn exercise(texts: Texts) {
    let main = Location::parse("/p/main.cfg").expect("an absolute path");
    let profile = match Profile::load(&main, &Memory(texts), &[]) {
        Ok(profile) => profile,
        Err(error) => return assert!(!error.render(false).is_empty()),
    };
    for stage in [Stage::Merged, Stage::Expanded, Stage::Resolved] {
        let dump = inspect::dump(&profile, stage);
        dump.write_json(&mut std::io::sink()).expect("a sink takes everything");
    }
    let _ = inspect::lint(&inspect::Values::new(&profile));
    let mut resolver = Resolver::new(&profile);
    // A build ends with its first error.
    let _ =
        profile.sections().keys().try_for_each(|section| resolver.section(&mut NoRecipes, section));
}

/// Allocations and bytes of [`exercise`].
fn work(texts: Texts) -> [usize; 2] {
    let region = Region::new(ALLOCATOR);
    exercise(texts);
    let change = region.change();
    [change.allocations + change.reallocations, change.bytes_allocated]
}

#[test]
fn twice_the_profile_is_twice_the_work() {
    let _alone = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut steep = String::new();
    for (name, shape) in SHAPES {
        let [small, large] = [work(shape(SIZE)), work(shape(2 * SIZE))];
        for (what, (small, large)) in
            ["allocations", "bytes"].iter().zip(small.into_iter().zip(large))
        {
            #[allow(clippy::cast_precision_loss, reason = "a ratio of counts far below 2^52")]
            let ratio = large as f64 / small as f64;
            if ratio > ALLOWED {
                let _ = writeln!(steep, "{name}: {small} -> {large} {what} ({ratio:.1}x)");
            }
        }
    }
    assert!(steep.is_empty(), "twice as much of this is more than twice the work:\n{steep}");
}

/// Small profiles that would make much of little are stopped.
#[test]
fn what_multiplies_has_a_limit() {
    let _alone = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let options = lines("[m]", 2000, |i| format!("x{i} = {i}"));
    let mut text = options["/p/main.cfg"].clone();
    (0..2000).for_each(|i| text.push_str(&format!("[s{i}]\n<= m\n")));
    let main = Location::parse("/p/main.cfg").expect("an absolute path");
    let profile = Profile::load(&main, &Memory(main_file(text)), &[]).expect("it is well formed");
    let dump = inspect::dump(&profile, Stage::Expanded);
    let first = dump.failures.first().expect("it is too much").to_string();
    assert!(first.ends_with("macros make more than 67108864 bytes of options"), "{first}");
}
