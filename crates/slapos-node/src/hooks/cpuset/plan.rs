//! Who gets which processor: a pure function.

use std::collections::BTreeMap;

use slapos_sys::process::uids;

/// More processes than a machine has processors for, for sure.
const MOST: usize = 1000;

/// What is to be done for one partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Process and the processor that it gets.
    pub(super) give: Vec<(u32, u32)>,
    /// Those for which no processor is left.
    pub(super) waiting: Vec<u32>,
    /// Those of other users.
    pub(super) foreign: Vec<u32>,
}

/// The process ids that a request lists, each once, and the first word that is none.
pub(super) fn read(text: &str) -> (Vec<u32>, Option<&str>) {
    let mut wanted = Vec::new();
    let mut odd = None;
    for word in text.split_whitespace().take(MOST) {
        match word.parse() {
            Ok(pid) if !wanted.contains(&pid) => wanted.push(pid),
            Ok(_) => {}
            Err(_) => odd = odd.or(Some(word)),
        }
    }
    (wanted, odd)
}

/// Decides. `exclusive` has the processes that each processor was given to; `owner_of` tells whose
/// a process is, none if it has ended. Those that have ended or have a processor are done with.
pub(super) fn plan(
    wanted: &[u32],
    uid: u32,
    exclusive: &BTreeMap<u32, Vec<u32>>,
    owner_of: impl Fn(u32) -> Option<u32>,
) -> Plan {
    let mut free = exclusive.iter().filter(|(_, pids)| pids.is_empty()).map(|(cpu, _)| *cpu);
    let mut plan = Plan::default();
    for &pid in wanted {
        match owner_of(pid) {
            None => {}
            Some(owner) if owner != uid => plan.foreign.push(pid),
            Some(_) if exclusive.values().any(|pids| pids.contains(&pid)) => {}
            Some(_) => match free.next() {
                Some(cpu) => plan.give.push((pid, cpu)),
                None => plan.waiting.push(pid),
            },
        }
    }
    plan
}

/// Whose the process is: its user if it acts as nobody else, else root, who is nobody's.
pub(super) fn owner_of(pid: u32) -> Option<u32> {
    uids(pid).map(|uids| uids.only().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_a_free_processor_and_the_rest_waits() {
        let exclusive = BTreeMap::from([(1, vec![40]), (2, vec![]), (3, vec![])]);
        let owner = |pid: u32| match pid {
            90 => Some(8),
            91 => None,
            _ => Some(7),
        };
        let plan = plan(&[40, 41, 90, 91, 42, 43], 7, &exclusive, owner);
        assert_eq!(plan.give, [(41, 2), (42, 3)]);
        assert_eq!(plan.waiting, [43]);
        assert_eq!(plan.foreign, [90]);
    }

    #[test]
    fn process_ids_are_read_one_by_one() {
        assert_eq!(read("12\n13 12\n"), (vec![12, 13], None));
        assert_eq!(read("12 x -1"), (vec![12], Some("x")));
        assert_eq!(read(""), (vec![], None));
    }

    #[test]
    fn a_process_belongs_to_whom_it_acts_as() {
        assert_eq!(owner_of(std::process::id()), Some(nix_uid()));
        assert_eq!(owner_of(u32::MAX), None);
    }

    fn nix_uid() -> u32 {
        slapos_sys::user::current().unwrap().uid
    }
}
