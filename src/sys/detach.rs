//! A run that outlives its terminal: the program starts itself once more, in a session of its own, and ends once that says
//! that it is under way.

use std::{
    env,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The variable with which the program tells its second start which it is, and its value where that is left something on
/// standard input.
const VARIABLE: &str = "HAUL_DETACHED";
const TAKES_OVER: &str = "takes-over";

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

/// Whether this is the second start of a run that was left something.
pub fn takes_over() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| value == TAKES_OVER)
}

/// What this was left.
pub fn left() -> io::Result<Vec<u8>> {
    let mut left = Vec::new();
    io::stdin().lock().read_to_end(&mut left)?;
    Ok(left)
}

/// Starts the program once more with the same arguments, and waits until it runs or ends.
pub fn start() -> io::Result<Started> {
    until_it_runs(again()?.env(VARIABLE, "1").stdin(Stdio::null()).spawn()?)
}

/// The same, and leaves it something, which no other user can see.
pub fn start_with(left: &[u8]) -> io::Result<Started> {
    let mut again = again()?;
    let mut child = again
        .env(VARIABLE, TAKES_OVER)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut into) = child.stdin.take() {
        // Where it has ended already, its status tells.
        let _ = into.write_all(left);
    }
    until_it_runs(child)
}

/// The command line that started this.
fn again() -> io::Result<Command> {
    let mut again = Command::new(env::current_exe()?);
    again.args(env::args_os().skip(1)).stdout(Stdio::piped());
    Ok(again)
}

fn until_it_runs(mut child: Child) -> io::Result<Started> {
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
