//! `slapos.cookbook:random.integer` and `random.time`: a value drawn once.
//!
//! Options of `random.integer`:
//! - `minimum`, `maximum`: the bounds, both included;
//! - `value`: set to what was drawn; a profile that gives it decides.
//!
//! Options of `random.time`:
//! - `time`: set to `H:MM` of a 24 h clock; a profile that gives it decides.
//!
//! What was drawn stays the same for as long as the part is installed and it is within the bounds.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, draw};

/// The recipe `random.integer`.
pub(crate) struct Integer;

impl Recipe for Integer {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        if init.get("value").is_some() {
            return Ok(Box::new(common::OptionsOnly));
        }
        let (minimum, maximum) = (bound(init, "minimum")?, bound(init, "maximum")?);
        if minimum > maximum {
            let message = format!("`minimum` {minimum} is above `maximum` {maximum}");
            return Err(init.error("minimum", &message, None));
        }
        let previous = init.previous("value").and_then(|value| value.parse::<i64>().ok());
        let value = match previous.filter(|value| (minimum..=maximum).contains(value)) {
            Some(value) => value,
            None => {
                let span = minimum.abs_diff(maximum);
                minimum.wrapping_add_unsigned(draw::up_to(init, span)?)
            }
        };
        init.set("value", &value.to_string());
        Ok(Box::new(common::OptionsOnly))
    }
}

fn bound(init: &PartInit<'_>, option: &str) -> Result<i64, ProfileError> {
    let text = init.require(option)?;
    text.trim().parse().map_err(|_| {
        init.error(option, &format!("`{option}` must be an integer, not `{text}`"), None)
    })
}

/// The recipe `random.time`.
pub(crate) struct Time;

impl Recipe for Time {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        if init.get("time").is_none() {
            let time = match init.previous("time").map(str::to_owned) {
                Some(time) => time,
                None => format!("{}:{:02}", draw::up_to(init, 23)?, draw::up_to(init, 59)?),
            };
            init.set("time", &time);
        }
        Ok(Box::new(common::OptionsOnly))
    }
}
