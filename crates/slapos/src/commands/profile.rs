//! `slapos profile`: reads a profile and prints what the language makes of it.

mod files;
mod show;

use std::io::{BufWriter, Write};
use std::mem::ManuallyDrop;

use serde::Serialize;
use slapos_node::NodeError;
use slapos_profile::inspect::{self, Finding, Level, Stage, Values};
use slapos_profile::{Assignment, Location, Profile, ProfileError};

use crate::cli::{Global, GraphFormat, Profile as Command, Source};
use crate::output::{colour, say, written};

use files::Reader;

/// How many errors are shown.
const MOST_TOLD: usize = 50;
/// How much is printed at once, bytes.
const PIECE: usize = 64 << 10;

pub(crate) fn run(global: &Global, command: &Command) -> Result<u8, NodeError> {
    match command {
        Command::Dump { profile, stage } => {
            // Never freed: the process ends, and freeing so many small texts takes a millisecond.
            let profile = ManuallyDrop::new(load(profile)?);
            Ok(dump(&profile, (*stage).into()))
        }
        Command::Annotate { profile, section } => {
            annotate(global.json, &load(profile)?, section.as_slice())
        }
        Command::Why { profile, option } => {
            let profile = load(profile)?;
            let (section, option) = split(option)?;
            let why = inspect::why(&Values::new(&profile), section, option)
                .map_err(|error| wrong(&error))?;
            match global.json {
                true => say_indented(&why),
                false => say(&show::why(&why)),
            }
            Ok(0)
        }
        Command::Query { profile, option, stage } => {
            query(global.json, &load(profile)?, option, (*stage).into())
        }
        Command::Graph { profile, format } => {
            let profile = load(profile)?;
            let graph = inspect::graph(&Values::new(&profile));
            match global.json || *format == GraphFormat::Json {
                true => say_indented(&graph),
                false => say(graph.dot().trim_end()),
            }
            Ok(0)
        }
        Command::Lint { profile: source, level, own } => {
            let profile = load(source)?;
            let mut found = inspect::lint(&Values::new(&profile));
            let main = location(&source.url)?.to_string();
            let mine = |at: &str| at.rsplit_once(':').is_some_and(|(file, _)| file == main);
            found.retain(|f| f.level >= Level::from(*level) && (!own || mine(&f.at)));
            Ok(lint(global, &found))
        }
    }
}

fn dump(profile: &Profile, stage: Stage) -> u8 {
    let dump = ManuallyDrop::new(inspect::dump(profile, stage));
    let mut out = std::io::stdout().lock();
    written(dump.write_json(&mut out).and_then(|()| writeln!(out)).and_then(|()| out.flush()));
    tell(&dump.failures)
}

/// Prints the sections called `names`, or all if there are none, with where each value is from.
pub(super) fn annotate(json: bool, profile: &Profile, names: &[String]) -> Result<u8, NodeError> {
    let values = Values::new(profile);
    let mut sections = Vec::new();
    let all = names.is_empty().then_some(None);
    for name in all.into_iter().chain(names.iter().map(|name| Some(name.as_str()))) {
        sections.extend(inspect::annotate(&values, name).map_err(|error| wrong(&error))?);
    }
    if json {
        say_indented(&sections.into_iter().collect::<indexmap::IndexMap<_, _>>());
    } else {
        say(&show::annotated(&sections));
    }
    Ok(tell(values.errors().values()))
}

/// Prints the value of the option called `name`.
pub(super) fn query(
    json: bool,
    profile: &Profile,
    name: &str,
    stage: Stage,
) -> Result<u8, NodeError> {
    let (section, option) = split(name)?;
    let raw = match stage {
        Stage::Merged => profile.raw(section, option),
        Stage::Expanded | Stage::Resolved => None,
    };
    let value = match raw {
        Some(raw) => raw.to_owned(),
        None => {
            // Whatever is wrong is told in the same words at each stage.
            let values = Values::new(profile);
            let why = inspect::why(&values, section, option).map_err(|error| wrong(&error))?;
            match stage {
                Stage::Merged => {
                    let message = format!("[{section}] has `{option}` from a macro only");
                    return Err(NodeError::user(message).hint("use --stage expanded"));
                }
                Stage::Expanded => why.value,
                Stage::Resolved => {
                    let value = values.get(section, option).map_err(|error| wrong(&error))?;
                    value.map_or_else(String::new, |value| value.text().into_owned())
                }
            }
        }
    };
    match json {
        true => say_indented(&value),
        false => say(&value),
    }
    Ok(0)
}

fn lint(global: &Global, found: &[Finding]) -> u8 {
    if global.json {
        say_indented(&found);
    } else if !(global.quiet && found.is_empty()) {
        say(&show::findings(found, colour(&std::io::stdout())));
    }
    u8::from(found.iter().any(|finding| finding.level == Level::Error))
}

fn load(source: &Source) -> Result<Profile, NodeError> {
    let assignments: Result<Vec<_>, _> =
        source.set.iter().map(|text| Assignment::parse(text, "<command line>")).collect();
    let main = location(&source.url)?;
    Profile::load(&main, &Reader::default(), &assignments.map_err(|error| wrong(&error))?)
        .map_err(|error| wrong(&error))
}

/// The place of a profile. Links are kept: what a profile extends is relative to where it seems to
/// be, as in Buildout.
fn location(url: &str) -> Result<Location, NodeError> {
    let location = match url.contains("://") {
        true => Location::parse(url),
        false => {
            let path = std::path::absolute(url)
                .map_err(|error| NodeError::user(format!("cannot find {url}: {error}")))?;
            Location::from_path(&path)
        }
    };
    location.map_err(|error| NodeError::user(error.to_string()))
}

fn split(name: &str) -> Result<(&str, &str), NodeError> {
    let (section, option) = name.split_once(':').unwrap_or(("buildout", name));
    let section = if section.is_empty() { "buildout" } else { section };
    match option.is_empty() || option.contains(':') {
        true => Err(NodeError::user(format!("`{name}` names no option"))
            .hint("write SECTION:OPTION, such as buildout:parts")),
        false => Ok((section, option)),
    }
}

/// An error as the program's others.
pub(super) fn wrong(error: &ProfileError) -> NodeError {
    let shown = error.render(colour(&std::io::stderr()));
    let told = NodeError::user(error.to_string());
    // What is above the place is the message again.
    let place: Vec<&str> = shown.lines().skip_while(|line| !line.contains("-->")).collect();
    match (place.is_empty(), error.help()) {
        (false, _) => told.detail(place.join("\n")),
        (true, Some(help)) => told.hint(help),
        (true, None) => told,
    }
}

/// Tells what is wrong beside the result, as much as people read; the exit code.
fn tell<'e>(errors: impl IntoIterator<Item = &'e ProfileError>) -> u8 {
    let mut errors = errors.into_iter();
    let mut code = 0;
    for error in errors.by_ref().take(MOST_TOLD) {
        let _ = writeln!(std::io::stderr(), "{}", error.render(colour(&std::io::stderr())));
        code = 1;
    }
    match errors.count() {
        0 => {}
        more => drop(writeln!(std::io::stderr(), "error: {more} more are not shown")),
    }
    code
}

/// Prints `value` as indented JSON, piece by piece. A reader that has gone is no error.
fn say_indented(value: &impl Serialize) {
    let mut out = BufWriter::with_capacity(PIECE, std::io::stdout().lock());
    if let Err(error) = serde_json::to_writer_pretty(&mut out, value)
        && !error.is_io()
    {
        tracing::error!("cannot write JSON: {error}");
    }
    written(writeln!(out).and_then(|()| out.flush()));
}
