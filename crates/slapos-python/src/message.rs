//! The words between engine and host. Each is one JSON object on a line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of a Python: major, minor, micro.
pub type Version = (u32, u32, u32);

/// What the engine sends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sent<'m> {
    /// The modules of the host, by name; the first line of all.
    Modules(&'m BTreeMap<&'static str, &'static str>),
    /// Do something.
    Call(Framed<'m>),
    /// The answer to an [`Ask`].
    Reply(Value),
    /// No answer to an [`Ask`].
    Refused(Refusal),
}

/// A call and where its traces go.
#[derive(Debug, Serialize)]
pub(crate) struct Framed<'m> {
    #[serde(flatten)]
    pub(crate) call: &'m Call,
    #[serde(flatten)]
    pub(crate) traces: Traces,
}

/// What is left of a call besides its result.
#[derive(Debug, Serialize)]
pub(crate) struct Traces {
    /// Path of the part's log, which gets what the call prints.
    pub(crate) log: Option<String>,
    /// Variable that marks the processes that the call starts, with its value.
    pub(crate) tag: (&'static str, String),
    /// The directory in which the call is done, if it exists by then.
    #[serde(rename = "home")]
    pub(crate) directory: PathBuf,
}

/// Why an [`Ask`] has no answer, as Python sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    /// `section`: there is no such thing; `other`.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) text: String,
    /// Number under which the engine keeps the whole error.
    pub(crate) token: Option<usize>,
}

/// Something that the host is to do. Objects that it keeps have numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Call {
    /// Prepare an inline script (`slapos.recipe.build`): its `init` is run.
    Script {
        /// The run it belongs to.
        run: u64,
        /// Name of the part.
        part: String,
        /// What `self.location` is before `init`.
        location: String,
        /// Variables of the option `environment`, or the section that has them.
        environment: Variables,
        /// The part cannot choose its place.
        shared: bool,
        /// Option → the file in which its script stands, and the number of the first line there.
        places: BTreeMap<String, (String, u32)>,
        /// Directories of distributions that the scripts may import.
        path: Vec<String>,
    },
    /// Make a recipe: a class of an egg.
    Recipe {
        /// The run it belongs to.
        run: u64,
        /// Name of the part.
        part: String,
        /// Directories in which the class and what it imports are found.
        path: Vec<String>,
        /// Name of the distribution.
        distribution: String,
        /// Name of the entry point.
        entry: String,
    },
    /// Call what a recipe's distribution has for parts that go: `zc.buildout.uninstall`.
    Uninstall {
        /// Name of the part.
        part: String,
        /// Directories in which it and what it imports are found.
        path: Vec<String>,
        /// Name of the distribution.
        distribution: String,
        /// Name of the entry point.
        entry: String,
        /// What the part was installed with.
        options: IndexMap<String, String>,
    },
    /// Run what was prepared.
    Run {
        /// The object.
        handle: u64,
        /// `install` or `update`.
        method: &'static str,
    },
    /// Call a function of a file with `(options, buildout, environ)`.
    Hook {
        /// The run it belongs to.
        run: u64,
        /// Name of the part.
        part: String,
        /// Path of the file.
        file: String,
        /// What to call the file: where it is from.
        name: String,
        /// Name of the function.
        function: String,
        /// The third argument.
        environ: BTreeMap<String, String>,
        /// The working directory.
        directory: String,
    },
    /// Render a Jinja2 template.
    Render(Box<Rendering>),
}

/// See [`Call::Render`].
#[derive(Debug, Clone, Serialize)]
pub struct Rendering {
    /// Directories in which Jinja2 and what the template imports are found.
    pub path: Vec<String>,
    /// What to call the template.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Name → kind (`value` or `import`) and text: an option's text, typed or not; or the name of a module.
    pub context: IndexMap<String, (String, String)>,
    /// Name → text of templates that may be imported.
    pub imports: IndexMap<String, String>,
    /// Names of folders → their place.
    pub folders: IndexMap<String, String>,
    /// What separates a folder from the name in it.
    pub delimiter: String,
    /// Import paths of extensions.
    pub extensions: Vec<String>,
}

/// See [`Call::Script`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variables {
    /// These, to be formatted.
    Given(BTreeMap<String, String>),
    /// The options of a section, as they are when they are needed.
    Section(String),
}

/// What the host sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Received {
    /// It is there.
    Ready {
        /// The interpreter.
        version: Version,
    },
    /// A question of a recipe.
    Ask(Ask),
    /// A call has ended well.
    Done {
        /// Its result.
        value: Value,
        /// Variables that changed; null for those that are gone.
        #[serde(default)]
        environ: BTreeMap<String, Option<String>>,
    },
    /// A call has raised an exception.
    Raised {
        /// See [`crate::RaisedKind`].
        kind: String,
        /// For people.
        text: String,
        /// Lines: where, in the recipe's own code.
        #[serde(default)]
        traceback: Vec<String>,
        /// The line of code where it happened.
        line: Option<String>,
        /// `file:line` in the profile, where a script of it was running.
        #[serde(default)]
        place: Option<String>,
        /// The engine's own error that passed through.
        token: Option<usize>,
        /// As in `Done`.
        #[serde(default)]
        environ: BTreeMap<String, Option<String>>,
    },
}

/// What a recipe asks of the engine.
#[derive(Debug, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// Names of all sections.
    Names,
    /// All options of a section, which is initialised first.
    Section { section: String },
    /// Set or remove an option.
    Set { section: String, option: String, value: Option<String> },
    /// Substitute a text as an option of the part.
    Substitute { text: String },
    /// What the part depends on.
    References,
    /// Replace what the part depends on.
    SetReferences { sections: BTreeSet<String> },
    /// Everything later depends on the part.
    Barrier,
    /// Add sections.
    Parse { text: String },
    /// The part makes these paths.
    Created { paths: Vec<String> },
    /// The bytes at a URL.
    Download { url: String, md5sum: Option<String>, alternate: Option<String>, offline: bool },
    /// The content of an archive, in a directory.
    Unpack { archive: String, directory: String, strip: Option<bool> },
    /// Python distributions.
    Distributions { request: Value },
}
