//! What a person sees for each kind of mistake.

use insta::assert_snapshot;

use crate::testing::{Memory, Recipes, load};
use crate::{Assignment, Location, Profile, ProfileError, Resolver, Span};

fn loading(text: &str) -> String {
    load(text).unwrap_err().render(false)
}

fn resolving(text: &str, section: &str) -> String {
    let profile = load(text).unwrap();
    let mut resolver = Resolver::new(&profile);
    resolver.section(&mut Recipes::default(), section).unwrap_err().render(false)
}
