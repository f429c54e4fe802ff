//! The program: parse, run, and turn an error into one line and an exit status.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use haul::{
    cli::{self, Command, Stop},
    compose,
    error::Error,
    exit::Exit,
    logging, sys,
};

/// What many clients held goes back to the system once they have left: glibc's arenas keep most of it, and musl's allocator has one
/// lock for all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_memory_private();
    sys::parent::end_with_it();
    let typed: Vec<_> = std::env::args_os().collect();
    run(&typed)
        .unwrap_or_else(|error| {
            if !matches!(error, Error::Signal(_)) {
                let line = logging::one_line(&format!("haul: {error}"));
                // Without stderr there is nobody to tell.
                let _ = writeln!(io::stderr(), "{line}");
            }
            error.exit()
        })
        .into()
}

/// Keys and logins lie in memory: no crash may write them to a disk.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // To lower a limit is always allowed.
    let _ = setrlimit(Resource::Core, none);
}

/// Help, version and the other printers need no runtime: only what transfers starts one.
fn run(typed: &[std::ffi::OsString]) -> Result<Exit, Error> {
    let parsed = match cli::parse(typed) {
        Ok(parsed) => parsed,
        Err(Stop::Wrong(line)) => return Err(Error::Usage(line)),
        Err(Stop::Show(help)) => return cli::print_help(&help),
    };
    match parsed.command {
        Command::Serve(args) => compose::serve(*args, &parsed.notes),
        Command::Connect(args) => compose::connect(*args, &parsed.notes),
        Command::Eval(args) => compose::eval(*args, &parsed.notes),
        Command::Plot(args) => compose::plot(args),
        Command::Sum(args) => compose::sum(&args),
        Command::Check(args) => compose::check(&args),
        Command::Status { json } => compose::status(json),
        Command::Servers { json } => compose::servers(json),
        Command::Attach(args) => compose::attach(&args),
        Command::Ctl { name, command } => compose::ctl(&name, &command),
        Command::Demo(args) => compose::demo(&args),
        Command::Passwd { user } => cli::print_login(&user, &mut io::stdout()),
        Command::Completions { shell } => cli::print_completions(shell, &mut io::stdout()),
        Command::Man { command } => cli::print_manual(command.as_deref(), &mut io::stdout()),
    }
}
