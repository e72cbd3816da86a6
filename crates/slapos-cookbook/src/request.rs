//! `slapos.cookbook:request`, `request.serialised`, `requestoptional` and
//! `requestoptional.serialised`: another instance, asked for by this one, and what it publishes.
//!
//! Options read:
//! - `name`: its title within the tree of this instance; asking again under a title changes that
//!   instance;
//! - `software-url`: its Software Release (`product.` names of the original are refused);
//! - `software-type`: default `default`;
//! - `config-<k>`: its parameter `<k>`. Typed values are given as their text; `.serialised` gives
//!   all parameters as JSON in the one parameter `_`;
//! - `sla-<k>`: where it may live, for example `sla-computer_guid`; empty ones are left out;
//! - `shared`: `true`, `yes`, `y` or `1` for a place in an instance that exists;
//! - `state`: `started`, `stopped` or `destroyed`; default: stopped if this instance is to be
//!   stopped, else started;
//! - `return`: white-space list of what it must publish;
//! - `server-url`, `computer-id`, `partition-id`: may be given, and must then be this node's Master
//!   and this partition: the request goes through the node, which asks for this partition only.
//!   `key-file` and `cert-file` are accepted and not needed;
//! - `config` and `sla` are refused, as by the original.
//!
//! Options set:
//! - `requested-state`: what was asked for;
//! - `connection-<k>` for each `<k>` of `return`: what it publishes, empty as long as it does not.
//!   `.serialised` reads it from the JSON of `_`, values other than text are typed;
//! - `instance-guid` (and, for older profiles, `instance_guid`), `instance-state`, and
//!   `instance-status`, its last report to the Master or empty: only once it is allocated, and not
//!   for a shared one.
//!
//! **When the Master is asked.** Each time a plan is made, because other sections need the options
//! then, and so once or twice a run. A request that is repeated changes nothing. `node instance
//! --dry-run` makes no plan of parts, so it asks for nothing. An instance that is not asked for
//! any more stays until `state = destroyed` is asked for, or the root of the tree goes.
//!
//! **What fails.** A Master that cannot be asked fails the plan, so that nothing is made from
//! values that are missing only because of that. A Master that says no (no free partition, say),
//! or an instance that does not publish all of `return` yet, fails the part (`request`) or is a
//! warning at each run (`requestoptional`). An instance that is only not allocated yet is neither,
//! unless it is to `return` something. Nothing is awaited from an instance that is to be destroyed.
//!
//! **Changes.** What was published is part of what the section is, so that parts that refer to it
//! are made again when it changes.
//!
//! **Secrets.** A value is treated as a secret (not recorded, shown as `***`) if its name, or a
//! name inside it, says so (`password`, `secret`, `token`, ...), or if it is a URL with a password
//! in it. Not all values are: URLs and ports would be blotted out of logs that people read. Its
//! digest is recorded, so that a change of it is noticed.

mod returned;
mod wish;

use std::path::PathBuf;
use std::sync::Arc;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_slap::{InstanceAnswer, InstanceRequest, InstanceState, PartitionPort, RequestError};

use crate::slapconfiguration::port;

/// The recipe.
pub(crate) struct Request {
    slap: Option<Arc<dyn PartitionPort>>,
    /// Parameters and what is returned are JSON.
    serialised: bool,
    /// What fails is only a warning.
    optional: bool,
}

impl Request {
    pub(crate) fn new(
        slap: Option<Arc<dyn PartitionPort>>,
        serialised: bool,
        optional: bool,
    ) -> Self {
        Self { slap, serialised, optional }
    }
}

impl Recipe for Request {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let port = port(self.slap.as_ref(), init)?.clone();
        let (request, state) = wish::read(init, port.partition(), self.serialised)?;
        init.set("requested-state", state.as_str());
        let (answer, refused) = match port.request(&request) {
            Ok(answer) => (answer, None),
            Err(RequestError::Unanswered(why)) => return Err(unanswered(init, &request, &why)),
            // It is gone already.
            Err(RequestError::NotFound(_)) if state == InstanceState::Destroyed => (None, None),
            Err(RequestError::NotFound(why) | RequestError::Refused(why)) => {
                (None, Some(one_line(&why)))
            }
        };
        tell(init, answer.as_ref().filter(|_| !request.shared), &request);
        let missing = returned::tell(init, answer.as_ref(), self.serialised);
        let problem = match refused {
            Some(why) => Some(format!("instance `{}` is not to be had: {why}", request.title)),
            None if state == InstanceState::Destroyed => None,
            None => missing.map(|missing| waits(&request, answer.as_ref(), &missing)),
        };
        Ok(Box::new(Requested { problem, optional: self.optional }))
    }
}

fn unanswered(init: &PartInit<'_>, request: &InstanceRequest, why: &str) -> ProfileError {
    let message = format!("cannot ask for instance `{}`: {why}", request.title);
    init.error("recipe", &message, Some("nothing was changed; the next run asks again"))
}

/// Sets the options about the instance itself.
fn tell(init: &mut PartInit<'_>, answer: Option<&InstanceAnswer>, request: &InstanceRequest) {
    let Some(answer) = answer else {
        let help = match request.shared {
            true => "a shared instance has none".to_owned(),
            false => format!("instance `{}` has none before it is allocated", request.title),
        };
        init.explain_missing("", "instance", &help);
        return;
    };
    if let Some(guid) = &answer.guid {
        init.set("instance-guid", guid);
        init.set("instance_guid", guid);
    }
    init.set("instance-state", answer.state.as_str());
    init.set("instance-status", answer.access_status.as_deref().unwrap_or_default());
}

/// Some Masters answer with pages of HTML.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is missing, in one line.
fn waits(request: &InstanceRequest, answer: Option<&InstanceAnswer>, missing: &str) -> String {
    let title = &request.title;
    match answer {
        None => format!("instance `{title}` does not publish {missing}: it is not allocated yet"),
        Some(answer) => format!(
            "instance `{title}` does not publish {missing}: it is to be {} in {} of {}",
            answer.state, answer.partition, answer.computer
        ),
    }
}

/// The part: what the request came to when the plan was made.
struct Requested {
    problem: Option<String>,
    optional: bool,
}

impl Requested {
    fn conclude(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        match &self.problem {
            None => Ok(()),
            Some(problem) if self.optional => {
                cx.warn(problem);
                Ok(())
            }
            Some(problem) => Err(PartError::new(problem)
                .with_help("each run asks again; if this lasts, look at that instance")),
        }
    }
}

impl Part for Requested {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.conclude(cx).map(|()| Vec::new())
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.conclude(cx)
    }

    fn needs_update(&self) -> Option<String> {
        self.problem.clone()
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
