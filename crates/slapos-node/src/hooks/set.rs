//! The hooks of a node, and the calling of them as their contracts say.

use slapos_slap::{ComputerPartition, PartitionId, SlapClient};

use super::cpuset::Cpuset;
use super::devperm::Devperm;
use super::firewall::{self, Firewall};
use super::firewalld::Firewalld;
use super::portredir::Portredir;
use super::prerm::Prerm;
use super::whitelistfirewall::WhitelistFirewall;
use super::{Hook, Member, Occasion, Removal, Scene};
use crate::action::Action;
use crate::config::{Manager, NodeConfig};
use crate::error::NodeError;
use crate::node::Node;
use crate::retire;

/// The hooks that a configuration selects.
pub struct Hooks {
    list: Vec<Box<dyn Hook>>,
}

impl Hooks {
    /// Those of `config`; nothing is done yet.
    pub fn of(config: &NodeConfig) -> Self {
        let hooks = &config.hooks;
        let firewalld = hooks.firewall.as_ref().map(|firewall| Firewalld::new(config, firewall));
        let mut list: Vec<Box<dyn Hook>> = Vec::new();
        if let (Some(config), Some(firewalld)) = (&hooks.firewall, &firewalld) {
            list.push(Box::new(Firewall::new(config.clone(), firewalld.clone())));
        }
        for manager in &hooks.managers {
            list.push(match manager {
                Manager::Cpuset => Box::new(Cpuset::new(hooks)),
                Manager::Devperm => Box::new(Devperm::new(hooks)),
                Manager::Portredir => Box::new(Portredir),
                Manager::Prerm => Box::new(Prerm),
                Manager::Whitelistfirewall => Box::new(WhitelistFirewall::new(firewalld.clone())),
            });
        }
        Self { list }
    }

    /// Whether none is selected.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The hooks' part of `node format`.
    ///
    /// # Errors
    /// The first of theirs.
    pub fn format(&self, node: &Node<'_>) -> Result<(), NodeError> {
        let scene = Scene { node, master: None };
        self.each(|hook| hook.format(&scene))
    }

    /// Before `node instance` carries out `steps`.
    ///
    /// # Errors
    /// The first of the hooks'.
    pub fn begin_instances(
        &self,
        node: &Node<'_>,
        master: &SlapClient,
        steps: &[(ComputerPartition, Action)],
    ) -> Result<(), NodeError> {
        if node.config.hooks.firewall.is_none() {
            firewall::forget_programs(node)?;
        }
        if self.list.is_empty() {
            return Ok(());
        }
        let members: Vec<_> =
            steps.iter().filter_map(|(partition, action)| member_of(partition, action)).collect();
        let scene = Scene { node, master: Some(master) };
        self.each(|hook| hook.begin(&scene, &members))
    }

    /// Calls `carry_out`, which does what was decided about one partition, between the hooks. A
    /// partition that is to be forgotten is, once all of them have let go of it.
    ///
    /// # Errors
    /// Theirs, which the Master is told, or that of `carry_out`.
    pub fn around_instance(
        &self,
        node: &Node<'_>,
        master: &SlapClient,
        partition: &ComputerPartition,
        action: &Action,
        carry_out: impl FnOnce() -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let scene = Scene { node, master: Some(master) };
        if matches!(action, Action::Forget) {
            // The record goes last: as long as it is there, the next run comes here again.
            carry_out()?;
            self.removed(&scene, &partition.id)?;
            return retire::forget(node, partition.id.as_str());
        }
        let Some(member) = member_of(partition, action).filter(|_| !self.list.is_empty()) else {
            return carry_out();
        };
        let tell = |error: NodeError| {
            node.tell_error(master, partition, &error);
            error
        };
        let before = self.each(|hook| hook.instance(&scene, &member)).map_err(tell);
        let result = before.and_then(|()| carry_out());
        let after = self.every(&scene, &member, |hook| hook.instance_tear_down(&scene, &member));
        match result {
            Ok(()) => after.map_err(tell),
            failed => failed,
        }
    }

    /// Asks the hooks about the removal of an instance. All are asked, so that what they have to do
    /// before it goes on side by side.
    ///
    /// # Errors
    /// The first of theirs.
    pub fn report(
        &self,
        scene: &Scene<'_, '_>,
        partition: &ComputerPartition,
        may_destroy: &dyn Fn() -> Result<bool, NodeError>,
    ) -> Result<Removal, NodeError> {
        let member = Member { partition, occasion: Occasion::Going };
        let mut verdict = Removal::Now;
        for hook in &self.list {
            let said = hook.report(scene, &member, may_destroy);
            if let Removal::Later(why) = said.map_err(|error| named(hook.as_ref(), &error))? {
                verdict = Removal::Later(why);
            }
        }
        Ok(verdict)
    }

    /// Has the hooks let go of a partition whose files are gone.
    ///
    /// # Errors
    /// The first of theirs.
    pub fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        self.each(|hook| hook.removed(scene, partition))
    }

    /// After all partitions.
    ///
    /// # Errors
    /// The first of the hooks'.
    pub fn end(&self, scene: &Scene<'_, '_>) -> Result<(), NodeError> {
        self.each(|hook| hook.end(scene))
    }

    fn each(&self, call: impl Fn(&dyn Hook) -> Result<(), NodeError>) -> Result<(), NodeError> {
        let hooks = self.list.iter().map(AsRef::as_ref);
        hooks.into_iter().try_for_each(|hook| call(hook).map_err(|error| named(hook, &error)))
    }

    /// Calls every hook, and gives the first error; others are told.
    fn every(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
        call: impl Fn(&dyn Hook) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let mut result = Ok(());
        for hook in &self.list {
            match call(hook.as_ref()).map_err(|error| named(hook.as_ref(), &error)) {
                Ok(()) => {}
                Err(error) if result.is_ok() => result = Err(error),
                Err(error) => scene.warn(member, &error.to_string()),
            }
        }
        result
    }
}

fn member_of<'a>(partition: &'a ComputerPartition, action: &Action) -> Option<Member<'a>> {
    let occasion = Occasion::of(action).filter(|_| !partition.is_free())?;
    Some(Member { partition, occasion })
}

/// Says which hook failed.
fn named(hook: &dyn Hook, error: &NodeError) -> NodeError {
    let mut named = NodeError::user(format!("manager {}: {error}", hook.name()));
    if let Some(detail) = error.detail_text() {
        named = named.detail(detail);
    }
    match error.hint_text() {
        Some(hint) => named.hint(hint),
        None => named,
    }
}
