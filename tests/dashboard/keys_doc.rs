//! docs/KEYS.md is made from the tables; this keeps it equal to them.

use std::{env, fmt::Write as _, fs, path::Path};

use haul::{
    app::{
        command::{COMMANDS, Side},
        keymap::{Keymap, Scope},
    },
    config::theme::ROLES,
};

const HEAD: &str = "\
# Keys and commands

Made from the program's tables by `HAUL_WRITE_DOCS=1 cargo test --test haul keys_doc`; a test keeps it equal to them.
On the screen, `?` shows the same and finds a key or command by typing.

The last column is the name under which the section `[keys]` of a configuration file gives an action other keys:
separated by blanks, sequences written together, nothing for no key at all.

    [keys]
    quit = Q Ctrl-q
    top = gg Home
    kick =

Everything can be done by the mouse as well: a row is pressed to choose it and twice to open it, the right button marks, the wheel
scrolls; hints, column heads, scrollbars, answers and the keys in a box's border are pressed; a press beside a box leaves it. In
`?` a line that is pressed twice does what its key does. Shift with the mouse selects text, in most terminals.

A question that comes up by itself (a login, a certificate, a file to be repaired) waits for the end of what is typed and of the box
that is open. It shows its answers after 0.6 s and takes none before; only `y` trusts a certificate.

";

/// A table's cell: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let keymap = Keymap::default();
    for scope in Scope::ALL {
        let (word, place) = (scope.word(), scope.place());
        let _ = writeln!(
            page,
            "## {}{}\n\n{place}\n",
            word[..1].to_uppercase(),
            &word[1..]
        );
        page.push_str("| keys | what they do | name |\n|---|---|---|\n");
        for (binding, keys) in keymap.rows(scope) {
            let keys: Vec<_> = keys
                .split(' ')
                .map(|key| format!("`{}`", cell(key)))
                .collect();
            let (keys, name) = (keys.join(" "), binding.name);
            let _ = writeln!(page, "| {keys} | {} | `{name}` |", cell(binding.help));
        }
        page.push('\n');
    }
    page.push_str(
        "## Commands\n\nTyped after `:`, or a line each in a file for `--run FILE`, or on standard input for `--run -`. ",
    );
    page.push_str("The beginning of a name will do where it is the only one.\n\n");
    for (side, title) in [
        (Side::Both, "Both dashboards"),
        (Side::Connect, "haul connect"),
        (Side::Serve, "haul serve"),
    ] {
        let _ = writeln!(page, "### {title}\n\n| command | what it does |\n|---|---|");
        for spec in COMMANDS.iter().filter(|spec| spec.side == side) {
            let line = format!("{} {}", spec.name, spec.usage);
            let _ = writeln!(
                page,
                "| `{}` | {} |",
                cell(line.trim_end()),
                cell(spec.help)
            );
        }
        page.push('\n');
    }
    page.push_str("## Colours\n\nThe section `[theme]` of a configuration file changes single colours of the theme: ");
    page.push_str(
        "`#rrggbb`, a number from 0 to 255, `default`, or a name such as `bright-blue`.\n\n",
    );
    page.push_str("| key | what it colours |\n|---|---|\n");
    for (_, key, what) in ROLES {
        let _ = writeln!(page, "| `{key}` | {what} |");
    }
    page
}

#[test]
fn the_page_is_what_the_tables_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/KEYS.md");
    let page = page();
    if env::var_os("HAUL_WRITE_DOCS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/KEYS.md is not what the tables say: HAUL_WRITE_DOCS=1 cargo test --test haul keys_doc writes it"
    );
}
