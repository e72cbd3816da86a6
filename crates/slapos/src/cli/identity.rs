//! Arguments of the commands of `slapos proxy` that say who may do what.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::ComputerSet;

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make a person known
    Add {
        /// The name
        name: String,
    },
    /// The people who are known, with their projects
    List,
    /// Forget a person, with his tokens
    Remove {
        /// The name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Make a project
    Add {
        /// The name
        name: String,
    },
    /// The projects, with their members
    List,
    /// Forget a project that owns nothing
    Remove {
        /// The name
        name: String,
    },
    /// Make a person a member
    Join {
        /// The project
        project: String,
        /// The person
        user: String,
    },
    /// Take a person out
    Leave {
        /// The project
        project: String,
        /// The person
        user: String,
    },
}

/// Whose a token is.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("holder").required(true).args(["user", "computer"]))]
pub(crate) struct Holder {
    /// A person
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// The node of a computer
    #[arg(long)]
    pub(crate) computer: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once
    Create {
        #[command(flatten)]
        holder: Holder,
        /// What it is for, for whoever looks at the list
        #[arg(long, default_value = "", hide_default_value = true)]
        label: String,
        /// Days until it is not valid any more [default: until it is revoked]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: Option<u32>,
    },
    /// Which tokens there are, and when they were used last (within the hour)
    List {
        #[command(flatten)]
        holder: Holder,
    },
    /// Make tokens invalid, at once and for ever
    Revoke {
        #[command(flatten)]
        holder: Holder,
        /// The token's name, as `list` shows it [default: all of them]
        #[arg(long, conflicts_with = "computer")]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Computer {
    /// Say what a computer may be used for, and show it
    Set(ComputerSet),
    /// Make a computer known before its node comes; the token that its node needs is shown once
    Add {
        /// Its identifier
        id: String,
        /// The project that owns it [default: the operator]
        #[arg(long)]
        project: Option<String>,
    },
    /// The computers, whose they are, and when their nodes were last heard of
    List,
    /// A new certificate for a computer, for clients that know of certificates only
    Certificate {
        /// The computer
        id: String,
        /// Where `ID.crt` and `ID.key` are put
        #[arg(long, value_name = "DIR", default_value = ".")]
        directory: PathBuf,
    },
    /// Revoke all tokens and certificates of a computer and of its partitions
    Revoke {
        /// The computer
        id: String,
    },
    /// Forget a computer that has no instance, with its tokens and certificates
    Remove {
        /// The computer
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Authority {
    /// Show the certificate by which others recognise the Master (`master_ca_file`)
    Show {
        /// Its SHA-256 instead: what `--ca-fingerprint` of other machines is to be
        #[arg(long)]
        fingerprint: bool,
    },
    /// Have the present operator's token open the authority after it was changed, Master running or not
    Rekey {
        /// A file with the token that was there before; `-`: standard input
        #[arg(long, value_name = "FILE")]
        former_token_file: PathBuf,
    },
}
