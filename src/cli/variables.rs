//! `HAUL_…` variables: which are read, and which are somebody else's.

use std::{env, ffi::OsString};

use clap::{Arg, builder::Resettable};

use super::shown;

/// The same definition without the variables of some options, by their long names.
pub(super) fn without(
    definition: clap::Command,
    is_unread: impl Fn(&str) -> bool,
) -> clap::Command {
    definition.mut_subcommands(|sub| {
        sub.mut_args(|arg| {
            if is_unread(arg.get_long().unwrap_or_default()) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
    })
}

/// The options of the command in `argv` whose variables are links to a service that happens to be called haul; a line of
/// each goes to `told`.
pub(super) fn links(argv: &[OsString], told: &mut Vec<String>) -> Vec<String> {
    let definition = shown();
    let named = argv.get(1).and_then(|name| name.to_str());
    let command = named.and_then(|name| definition.find_subcommand(name));
    let mut found = Vec::new();
    for arg in command.into_iter().flat_map(clap::Command::get_arguments) {
        let Some((name, value)) = variable(arg) else {
            continue;
        };
        if is_link(&name, &value) {
            told.push(format!(
                "{name}: `{value}` is not read: Kubernetes and Docker set such variables for a service called haul"
            ));
            found.extend(arg.get_long().map(str::to_owned));
        }
    }
    found
}

/// An option's variable, where it is set.
fn variable(arg: &Arg) -> Option<(String, String)> {
    let name = arg.get_env()?.to_str()?;
    let value = env::var(name).ok()?;
    Some((name.to_owned(), value))
}

/// `HAUL_PORT=tcp://10.0.0.1:8888` is set for every container beside a service called haul, and `HAUL_NAME=/web/haul` by
/// Docker's links. No option takes such a value.
fn is_link(name: &str, value: &str) -> bool {
    match name {
        "HAUL_PORT" => ["tcp://", "udp://", "sctp://"]
            .iter()
            .any(|scheme| value.starts_with(scheme)),
        "HAUL_NAME" => value.starts_with('/'),
        _ => false,
    }
}
