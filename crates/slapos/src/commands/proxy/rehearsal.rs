//! `slapos proxy restore|migrate --dry-run`: what would be done, and why. Nothing is made or changed, not
//! even the Master's directory and its user.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::json;
use slapos_master::{Migrated, Restoration, rehearse_migration, rehearse_restore};
use slapos_node::{NodeError, OperatorConfig};

use super::database::{STANDARD, of, open, run};
use super::{as_user, not_as};
use crate::cli::Global;
use crate::output::{say, say_json};

/// What [`restore`](super::database::restore) would do.
pub(super) fn restore(
    global: &Global,
    config: &OperatorConfig,
    file: &Path,
    force: bool,
) -> Result<u8, NodeError> {
    let source = open(file)?;
    if let Some(user) = config.owner()? {
        let mut words = vec!["restore", STANDARD, "--dry-run"];
        words.extend(force.then_some("--force"));
        let mut command = as_user(global, config, &user, &words);
        if let Some(source) = source {
            command.stdin(source);
        }
        return Err(not_as(&user, &command.exec()));
    }
    let database = of(config.embedded()?)?;
    let mut from = reader(source);
    let plan = run(rehearse_restore(&database, &mut from, force))?;
    if global.json {
        say_json(&json!({
            "dry-run": true, "rows": plan.rows, "schema": plan.schema, "replaces": plan.replaces,
            "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
        }));
        return Ok(0);
    }
    restoration(&plan, &database.to_string()).iter().for_each(|line| say(line));
    say(NOTHING);
    Ok(0)
}

/// What [`migrate`](super::database::migrate) would do.
pub(super) fn migrate(
    global: &Global,
    config: &OperatorConfig,
    to: Option<i64>,
) -> Result<u8, NodeError> {
    if let Some(user) = config.owner()? {
        let to = to.map(|to| to.to_string());
        let mut words = vec!["migrate", "--dry-run"];
        words.extend(to.iter().flat_map(|to| ["--to", to.as_str()]));
        return Err(not_as(&user, &as_user(global, config, &user, &words).exec()));
    }
    let steps = run(rehearse_migration(&of(config.embedded()?)?, to))?;
    if global.json {
        let steps: Vec<_> = steps.iter().map(step).collect();
        say_json(&json!({ "dry-run": true, "steps": steps }));
        return Ok(0);
    }
    if steps.iter().any(|step| step.back) {
        say("require that no Master uses the database: it goes back");
    }
    let why = if to.is_some() { "asked for (--to)" } else { "it is missing" };
    steps.iter().for_each(|step| say(&described(step, why)));
    say(if steps.is_empty() { "nothing is to be changed" } else { NOTHING });
    Ok(0)
}

const NOTHING: &str = "Nothing was done (--dry-run).";

fn reader(source: Option<File>) -> Box<dyn BufRead> {
    match source {
        None => Box::new(BufReader::new(io::stdin())),
        Some(file) => Box::new(BufReader::new(file)),
    }
}

fn restoration(plan: &Restoration, database: &str) -> Vec<String> {
    let mut lines = vec![format!("require that no Master uses {database}")];
    lines.push(match &plan.replaces {
        Some(table) => {
            format!(
                "remove all that {database} holds (something is in {table}): asked for (--force)"
            )
        }
        None => format!("use {database}: it holds nothing, or is not there"),
    });
    let Restoration { rows, schema, .. } = plan;
    lines.push(format!("put {rows} rows of schema {schema} there: the backup is whole"));
    let steps = plan.steps.iter();
    lines.extend(steps.map(|step| described(step, "the backup has an older one")));
    lines.push("have listeners look at everything: it is another memory".to_owned());
    lines
}

fn described(step: &Migrated, why: &str) -> String {
    let Migrated { number, name, back } = step;
    match back {
        true => format!("take back schema {number} ({name}), and lose what only it holds: {why}"),
        false => format!("make schema {number} ({name}): {why}"),
    }
}

fn step(step: &Migrated) -> serde_json::Value {
    json!({ "number": step.number, "name": step.name, "back": step.back })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_its_reasons() {
        let step = Migrated { number: 15, name: "protocols", back: false };
        let plan = Restoration {
            rows: 7,
            schema: 13,
            steps: vec![step],
            replaces: Some("computer".into()),
        };
        insta::assert_snapshot!(restoration(&plan, "/m/proxy.db").join("\n"), @r"
        require that no Master uses /m/proxy.db
        remove all that /m/proxy.db holds (something is in computer): asked for (--force)
        put 7 rows of schema 13 there: the backup is whole
        make schema 15 (protocols): the backup has an older one
        have listeners look at everything: it is another memory
        ");
        let back = Migrated { number: 15, name: "protocols", back: true };
        insta::assert_snapshot!(described(&back, "asked for (--to)"), @"take back schema 15 (protocols), and lose what only it holds: asked for (--to)");
    }
}
