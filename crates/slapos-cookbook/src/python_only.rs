//! Recipes that real profiles use and that only Python can run: refused by name, at their line.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

/// Names that are known not to be native, so that the message can say more than "no such recipe".
pub(crate) const NAMES: [&str; 1] = ["slapos.recipe.build"];

/// Refuses every part.
pub(crate) struct PythonOnly;

impl Recipe for PythonOnly {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let recipe = init.require("recipe")?;
        let inline = ["init", "install", "update"].iter().find(|o| init.get(o).is_some());
        let what = match inline {
            Some(option) => format!("its option `{option}` is Python"),
            None => format!("`{recipe}` is written in Python"),
        };
        Err(init.error(
            "recipe",
            &format!(
                "part `{}` needs the Python host, which this version does not have: {what}",
                init.name()
            ),
            Some("use a native recipe (slapos.recipe.cmmi, slapos.recipe.template, ...) instead"),
        ))
    }
}
