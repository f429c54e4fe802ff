//! A run that outlives its terminal: the program starts itself once more, in a session of its own, and ends once that says
//! that it is under way.

use std::{
    env,
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The variable with which the program tells its second start which it is.
const VARIABLE: &str = "HAUL_DETACHED";

/// What came of the second start.
pub enum Started {
    /// It runs; what it said of itself.
    Runs(String),
    /// It ended before that, with this status, and has said why on stderr.
    Ended(i32),
}

/// Whether this is the second start.
pub fn is_detached() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Starts the program once more with the same arguments, and waits until it runs or ends.
pub fn start() -> io::Result<Started> {
    let mut arguments = env::args_os();
    let _ = arguments.next();
    let mut child = Command::new(env::current_exe()?)
        .args(arguments)
        .env(VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = said(&mut child)?;
    if said.is_empty() {
        let status = child.wait()?;
        return Ok(Started::Ended(status.code().unwrap_or(1)));
    }
    Ok(Started::Runs(said))
}

/// The line that it says once it runs; empty where it ended.
fn said(child: &mut Child) -> io::Result<String> {
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    Ok(line.trim_end().to_owned())
}

/// Leaves the session of the terminal, whose end reaches this process no more.
pub fn leave_session() -> io::Result<()> {
    Ok(rustix::process::setsid().map(drop)?)
}

/// Tells the first start that this one runs, and lets go of its terminal: what is written from now on goes to `log`.
pub fn runs(said: &str, log: Option<&Path>) -> io::Result<()> {
    writeln!(io::stdout(), "{said}")?;
    io::stdout().flush()?;
    let open = |path: &Path| File::options().append(true).open(path);
    let log = match log.map(open) {
        Some(Ok(log)) => log,
        _ => File::options().write(true).open("/dev/null")?,
    };
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(&log)?;
    Ok(())
}
