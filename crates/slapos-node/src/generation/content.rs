//! The content of generations, in the partition, as its user: captured, brought back, compared.
//!
//! ```text
//! <partition>/.slapos/generations/        mode 0700
//!   <number>.json                         a manifest, written last: what it names is there
//!   objects/<sha256>                      what files held, mode 0600, shared by generations
//! ```

mod capture;
mod differences;
mod manifest;
mod restore;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use capture::capture;
pub(crate) use differences::differences;
pub(crate) use restore::restore;
