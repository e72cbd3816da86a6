//! Carries a case out: step by step, against what can be seen of a node from outside.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use slapos_slap::{ComputerPartition, SoftwareRelease};
use slapos_testkit::Run;

use crate::case::{Case, Found, Step};
use crate::master::wish;
use crate::scene::{Scene, set_mode};

/// How long services may take to come to the state that is expected, and files to appear.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the original tells besides. It says which instances an instance asked for; ours asks
/// through the node, which knows.
const NOT_COMPARED: &str = "updateComputerPartitionRelatedInstanceList";
/// Left in the `buildout.cfg` of an instance, to see whether it is written anew.
const MARK: &str = "# marked\n";

/// What the steps of a case leave for the next ones.
#[derive(Default)]
struct Memory {
    last: Option<Run>,
    pids: BTreeMap<String, Option<u32>>,
}

/// Carries out all steps, up to the first that sees something else than expected.
pub(crate) fn carry_out(scene: &mut Scene<'_>, case: &Case) -> Result<(), String> {
    carry_out_steps(scene, &mut Memory::default(), &case.steps)
}

fn carry_out_steps(
    scene: &mut Scene<'_>,
    memory: &mut Memory,
    steps: &[Step],
) -> Result<(), String> {
    for (number, step) in steps.iter().enumerate() {
        carry_out_one(scene, memory, step).map_err(|error| {
            let last = memory.last.as_ref();
            let said = last.map_or(String::new(), |run| format!("{}{}", run.out, run.err));
            format!("step {} {step:?}: {error}\nlast said:\n{said}", number + 1)
        })?;
    }
    Ok(())
}

fn carry_out_one(scene: &mut Scene<'_>, memory: &mut Memory, step: &Step) -> Result<(), String> {
    match step {
        Step::Supply(..) | Step::Wish(..) | Step::State(..) | Step::Free(_) => change(scene, step),
        Step::MasterIsThere(true) => scene.master.up(),
        Step::MasterIsThere(false) => scene.master.down(),
        Step::Write(name, text) => write(scene, name, text),
        Step::Remove(name) => {
            let path = scene.path(name);
            let removed = match path.is_dir() {
                true => std::fs::remove_dir(path),
                false => std::fs::remove_file(path),
            };
            return removed.map_err(|error| error.to_string());
        }
        Step::Mode(name, mode) => set_mode(&scene.path(name), *mode),
        Step::Run(words, code) => return run(scene, memory, words, *code),
        Step::Start(words) => {
            scene.started = scene.command(words).spawn().ok();
        }
        Step::Appears(name) => return until(|| seen(scene, name, Found::File)),
        Step::Becomes(name, text) => return until(|| seen(scene, name, Found::Text(text))),
        Step::Ends(code) => return ends(scene, *code),
        Step::Said(wanted) => return said(scene, memory, wanted),
        Step::Told(wanted) => return told(scene, wanted),
        Step::Disk(wanted) => {
            return wanted.iter().try_for_each(|(name, found)| seen(scene, name, *found));
        }
        Step::Services(wanted) => return until(|| services(scene, wanted)),
        Step::Remember => memory.pids = pids(scene),
        Step::SameProcess(name, same) => {
            return until(|| compare_process(scene, memory, name, *same));
        }
        Step::Mark(index) => {
            let path = profile_of(scene, *index);
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            return std::fs::write(path, text + MARK).map_err(|error| error.to_string());
        }
        Step::Processed(index, wanted) => {
            let text = std::fs::read_to_string(profile_of(scene, *index));
            let processed = !text.map_err(|error| error.to_string())?.ends_with(MARK);
            return expect("processed", &processed, wanted);
        }
        Step::Differs { original, ours, .. } => {
            let steps = if scene.implementation.is_ours() { ours } else { original };
            return carry_out_steps(scene, memory, steps);
        }
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found:?} instead of {wanted:?}")),
    }
}

/// What the Master wants from now on.
fn change(scene: &Scene<'_>, step: &Step) {
    let mut world = scene.master.world();
    match step {
        Step::Supply(name, state) => {
            let url = scene.url(name);
            world.computer.software.retain(|release| release.url != url);
            world.computer.software.push(SoftwareRelease { url, state: *state });
        }
        Step::Wish(index, name, parameters) => {
            let parameters: Vec<_> =
                parameters.iter().map(|(key, text)| (*key, scene.filled(text))).collect();
            let parameters: Vec<_> =
                parameters.iter().map(|(key, text)| (*key, text.as_str())).collect();
            wish(&mut world, *index, scene.url(name).as_str(), &parameters);
        }
        Step::State(index, state) => {
            let timestamp = world.timestamp();
            let partition = &mut world.computer.partitions[*index];
            partition.requested_state = *state;
            partition.timestamp = Some(timestamp);
        }
        Step::Free(index) => {
            let partition = &mut world.computer.partitions[*index];
            *partition = ComputerPartition::free(partition.computer.clone(), partition.id.clone());
        }
        _ => {}
    }
}

fn write(scene: &Scene<'_>, name: &str, text: &str) {
    let path = scene.path(name);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let person = scene.implementation.person();
    if !parent.exists() {
        std::fs::create_dir_all(parent).expect("a case's directory can be made");
        person.give(parent);
    }
    std::fs::write(&path, text).expect("a case's file can be written");
    person.give(&path);
}

fn run(scene: &Scene<'_>, memory: &mut Memory, words: &str, code: i32) -> Result<(), String> {
    let run = scene.run(words);
    let ended = run.code;
    memory.last = Some(run);
    expect("exit code", &ended, &code)
}

fn ends(scene: &mut Scene<'_>, code: i32) -> Result<(), String> {
    let Some(mut child) = scene.started.take() else {
        return Err("nothing was started".to_owned());
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    expect("exit code", &status.code(), &Some(code))
}

fn said(scene: &Scene<'_>, memory: &Memory, wanted: &str) -> Result<(), String> {
    let said = memory.last.as_ref().map(|run| format!("{}{}", run.out, run.err));
    let wanted = format!("*{}*", scene.filled(wanted));
    match is_like(&wanted, &said.unwrap_or_default()) {
        true => Ok(()),
        false => Err(format!("nothing like {wanted}")),
    }
}

fn told(scene: &Scene<'_>, wanted: &[&str]) -> Result<(), String> {
    let mut told = scene.master.told();
    told.retain(|line| !line.starts_with(NOT_COMPARED));
    told.sort();
    let mut wanted: Vec<_> = wanted.iter().map(|line| scene.filled(line)).collect();
    wanted.sort();
    let alike = told.len() == wanted.len()
        && told.iter().zip(&wanted).all(|(line, wanted)| is_like(wanted, line));
    match alike {
        true => Ok(()),
        false => Err(format!("the Master was told {told:#?} instead of {wanted:#?}")),
    }
}

fn seen(scene: &Scene<'_>, name: &str, found: Found) -> Result<(), String> {
    let path = scene.path(name);
    let meta = std::fs::symlink_metadata(&path);
    if let Found::Nothing = found {
        return expect(name, &meta.is_ok(), &false);
    }
    let meta = meta.map_err(|error| format!("{name}: {error}"))?;
    let mode = meta.permissions().mode() & 0o7777;
    match found {
        Found::Nothing => Ok(()),
        Found::Directory(wanted) => expect(name, &(meta.is_dir(), mode), &(true, wanted)),
        Found::Empty => {
            let entries = std::fs::read_dir(&path).map_err(|error| error.to_string())?;
            let names = entries.flatten().map(|entry| entry.file_name().display().to_string());
            expect(name, &names.collect::<Vec<_>>(), &Vec::new())
        }
        Found::File => expect(name, &meta.is_file(), &true),
        Found::Socket => expect(name, &meta.file_type().is_socket(), &true),
        Found::Mode(wanted) => expect(name, &(meta.is_file(), mode), &(true, wanted)),
        Found::Link(wanted) => {
            let target = std::fs::read_link(&path).map_err(|error| error.to_string())?;
            expect(name, &target, &scene.path(wanted))
        }
        Found::Text(wanted) => {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            match is_like(&scene.filled(wanted), &text) {
                true => Ok(()),
                false => Err(format!("{name}: {text}\nis not like {wanted}")),
            }
        }
    }
}

fn services(scene: &Scene<'_>, wanted: &[(&str, &str)]) -> Result<(), String> {
    let processes = scene.processes();
    let mut found: Vec<_> =
        processes.iter().map(|one| (one.namespec(), one.state.name().to_owned())).collect();
    found.sort();
    let mut wanted: Vec<_> =
        wanted.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
    wanted.sort();
    expect("services", &found, &wanted)
}

fn pids(scene: &Scene<'_>) -> BTreeMap<String, Option<u32>> {
    let processes = scene.processes();
    processes.into_iter().map(|process| (process.namespec(), process.pid)).collect()
}

fn compare_process(
    scene: &Scene<'_>,
    memory: &Memory,
    name: &str,
    same: bool,
) -> Result<(), String> {
    let (before, now) = (memory.pids.get(name), pids(scene));
    let now = now.get(name);
    let running = |pid: Option<&Option<u32>>| pid.copied().flatten();
    if running(before).is_none() || running(now).is_none() {
        return Err(format!("{name} does not run: {before:?}, then {now:?}"));
    }
    expect("the same process", &(before == now), &same)
}

fn profile_of(scene: &Scene<'_>, index: usize) -> std::path::PathBuf {
    scene.path(&format!("inst/slappart{index}/buildout.cfg"))
}

/// Until it is as expected, or [`PATIENCE`] is over.
fn until(look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match look() {
            Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

/// Whether the text is like the pattern, in which `*` stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    rest.is_empty() || places.any(|at| is_like(rest, &text[at..]))
}
