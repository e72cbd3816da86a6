//! How warm the machine is, as lm-sensors tells it.

use crate::command;

/// The program that tells, and that it is to do so for programs.
const PROGRAM: [&str; 2] = ["sensors", "-u"];
/// What it prints, and fails, where there is nothing to measure with.
const NONE: &str = "No sensors found!";
/// The limit of a sensor that does not say what it bears, degrees Celsius.
const NO_LIMIT: f64 = 1000.0;

/// What one sensor says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// The chip and the label, as the original names it.
    pub(super) sensor: String,
    /// Degrees Celsius.
    pub(super) temperature: f64,
    /// How many of its two limits (the highest, the critical) are reached.
    pub(super) alarm: u8,
}

/// What all sensors say; nothing where there are none, or nothing that reads them.
///
/// # Errors
/// When they cannot be read though they could be; a text for people.
pub(super) fn read() -> Result<Vec<Reading>, String> {
    if command::find(PROGRAM[0]).is_none() {
        return Ok(Vec::new());
    }
    let said = command::run(&PROGRAM.map(str::to_owned)).map_err(|error| error.to_string())?;
    if said.success || said.output.contains(NONE) {
        return Ok(parse(&said.output));
    }
    let last = said.output.lines().next_back().unwrap_or_default();
    Err(format!("`{}` failed: {last}", PROGRAM.join(" ")))
}

/// A chip is named in the line before `Adapter:`, a sensor in the line before its reading, and its
/// limits are in the two lines after it.
fn parse(text: &str) -> Vec<Reading> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut found, mut chip, mut before) = (Vec::new(), "", "");
    for (number, line) in lines.iter().enumerate() {
        if line.starts_with("Adapter:") {
            chip = before;
        } else if let Some(temperature) = value(line, "_input") {
            let after = lines.iter().skip(number + 1).take(2);
            let limit = |what| after.clone().find_map(|line| value(line, what)).unwrap_or(NO_LIMIT);
            let reached =
                [limit("_max"), limit("_crit")].map(|limit| u8::from(temperature >= limit));
            let alarm = reached.iter().sum();
            found.push(Reading { sensor: format!("{chip} {before}"), temperature, alarm });
        }
        before = line;
    }
    found
}

/// The value of a line like `temp1_input: 35.000`.
fn value(line: &str, what: &str) -> Option<f64> {
    let (name, value) = line.trim().split_once(": ")?;
    let is_it = name.starts_with("temp") && name.ends_with(what);
    is_it.then(|| value.trim().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
acpitz-acpi-0
Adapter: ACPI interface
temp1:
  temp1_input: 27.800
  temp1_crit: 105.000
  temp1_crit_alarm: 0.000

coretemp-isa-0000
Adapter: ISA adapter
Package id 0:
  temp1_input: 85.000
  temp1_max: 80.000
  temp1_crit: 100.000
Core 0:
  temp2_input: 101.000
  temp2_max: 80.000
  temp2_crit: 100.000
fan1:
  fan1_input: 1200.000
";

    #[test]
    fn each_sensor_is_named_and_compared_with_its_limits() {
        let readings: Vec<_> = parse(TEXT)
            .into_iter()
            .map(|Reading { sensor, temperature, alarm }| format!("{sensor} {temperature} {alarm}"))
            .collect();
        assert_eq!(
            readings,
            [
                "acpitz-acpi-0 temp1: 27.8 0",
                "coretemp-isa-0000 Package id 0: 85 1",
                "coretemp-isa-0000 Core 0: 101 2"
            ]
        );
        assert_eq!(parse("No sensors found!\nMake sure you loaded all the kernel drivers.\n"), []);
    }
}
