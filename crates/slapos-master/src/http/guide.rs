//! The table of who may call what, as the documentation has it.

use std::fmt::Write as _;

use super::access::{May, Rule};
use super::routes;

/// What comes before the table.
const HEAD: &str = "# Who may call what

Made from the list of the Master's routes; a test keeps it so, and another tries every route as every
kind of caller. Whoever is not known gets 401, except where anybody may call; the operator may call
everything.

- **own** for a person: the computers and instance trees of the projects that he is a member of. Anything
  else does not exist for him (404), in the same words as what really does not.
- **own** for a node: its computer, and the instances on it. For an instance: itself; it asks for others
  in its own tree. Anything else is refused (403), whether or not it exists.
- What is made with a token, for himself, for a computer or an instance, is valid no longer than that
  token, and is revoked with it, and so is what was made with what was made. The operator's token and
  certificates bind nobody so. A certificate that a node got by its token is its own: it stays when the token
  goes, and is revoked by `slapos proxy computer revoke`.
- Forgetting a person, or a computer, is the end of what proved who they are.

| Method | Path | Stranger | Person | Node | Instance |
|---|---|---|---|---|---|
";

/// The whole document.
pub(crate) fn table() -> String {
    let mut text = HEAD.to_owned();
    for route in routes() {
        let Rule { anybody, user, computer, partition } = route.rule;
        let stranger = if anybody { "yes" } else { "-" };
        let (method, path) = (&route.method, route.path);
        let (user, computer, partition) = (word(user), word(computer), word(partition));
        let _ = writeln!(
            text,
            "| {method} | `{path}` | {stranger} | {user} | {computer} | {partition} |"
        );
    }
    text
}

fn word(may: May) -> &'static str {
    match may {
        May::Not => "-",
        May::Own => "own",
        May::All => "yes",
    }
}
