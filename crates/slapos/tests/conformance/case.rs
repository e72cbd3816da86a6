//! The words in which a case is written: what the Master wants, what is run, and what has to be
//! seen then. A case is data; [`crate::check`] carries it out.
//!
//! Texts may name things of the scene: `{base}` its directory, `{demo.url}` the profile of the
//! Software Release `demo`, `{demo}` the name of its directory. In what is expected, `*` stands for
//! anything.

use slapos_slap::{InstanceState, SoftwareState};

/// One behaviour of a node.
pub(crate) struct Case {
    /// How many partitions the node has.
    pub(crate) partitions: u32,
    /// The Software Releases that are built, in a software root that all such cases share; without
    /// any, the case has a software root of its own.
    pub(crate) built: bool,
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// A case about Software Releases, with a software root of its own and one partition.
    pub(crate) fn software(steps: Vec<Step>) -> Self {
        Self { partitions: 1, built: false, steps }
    }

    /// A case about instances of Software Releases that are built.
    pub(crate) fn instances(partitions: u32, steps: Vec<Step>) -> Self {
        Self { partitions, built: true, steps }
    }
}

/// One step of a case.
#[derive(Debug)]
pub(crate) enum Step {
    /// The Master wants this Software Release here, or no longer.
    Supply(&'static str, SoftwareState),
    /// The Master wants an instance, started, of this Software Release with these parameters in
    /// this partition.
    Wish(usize, &'static str, &'static [(&'static str, &'static str)]),
    /// The Master wants it in another state.
    State(usize, InstanceState),
    /// The Master says nothing of this partition any more.
    Free(usize),
    /// The Master is gone, or back.
    MasterIsThere(bool),
    /// A file is written (with its directory).
    Write(&'static str, &'static str),
    /// A file, or an empty directory, is removed.
    Remove(&'static str),
    /// A mode is changed.
    Mode(&'static str, u32),
    /// `slapos WORDS` is run and ends with this code.
    Run(&'static str, i32),
    /// `slapos WORDS` is started; [`Step::Ends`] waits for it.
    Start(&'static str),
    /// That file appears, in good time.
    Appears(&'static str),
    /// The text of a file becomes like this, in good time.
    Becomes(&'static str, &'static str),
    /// What was started ends with this code.
    Ends(i32),
    /// What was run last said this, on either output.
    Said(&'static str),
    /// The Master was told this since the last such step, in any order: `route whom more`.
    Told(&'static [&'static str]),
    /// What is on disk.
    Disk(&'static [(&'static str, Found)]),
    /// The supervisor has these processes of partitions, in these states, and no others.
    Services(&'static [(&'static str, &'static str)]),
    /// Remembers which processes run.
    Remember,
    /// This process is the one remembered (or another).
    SameProcess(&'static str, bool),
    /// From here it is seen whether this partition is processed.
    Mark(usize),
    /// It was processed since the mark (or was not).
    Processed(usize, bool),
    /// Where ours is meant to differ.
    Differs {
        /// Why it is better so.
        why: &'static str,
        /// What is seen of the original.
        original: Vec<Step>,
        /// What is seen of ours.
        ours: Vec<Step>,
    },
}

/// What is found at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A directory of this mode.
    Directory(u32),
    /// A directory with nothing in it, but for what the node itself left.
    Empty,
    /// A file.
    File,
    /// A socket.
    Socket,
    /// A file of this mode.
    Mode(u32),
    /// A link to this.
    Link(&'static str),
    /// A file whose text is like this.
    Text(&'static str),
}
