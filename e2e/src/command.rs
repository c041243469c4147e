//! Running programs, with a deadline and with everything they said in the error.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::Running;

/// How long a program may run, unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(300);

/// A program to be run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    stdin: Vec<u8>,
    deadline: Duration,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Names a program.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), stdin: Vec::new(), deadline: DEADLINE }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder to run in.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets what the program reads from standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs the program to its end, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started, or does not end in time.
    pub fn output(self) -> Result<Output> {
        self.start()?.output()
    }

    /// Starts the program, to look at it while it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut self) -> Result<Running> {
        let command = format!("{:?}", self.command).replace('"', "");
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command}"))?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        // A program that does not read its input ends all the same.
        thread::spawn(move || drop(stdin.write_all(&self.stdin)));
        Ok(Running::new(command, child, self.deadline))
    }

    /// Runs the program and takes an exit code other than 0 for an error.
    ///
    /// # Errors
    /// When it cannot be started, fails, or does not end in time.
    pub fn ok(self) -> Result<Output> {
        let output = self.output()?;
        if output.code == Some(0) { Ok(output) } else { bail!("{output}") }
    }

    /// Starts the program and leaves it running; whoever holds the child ends it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut self) -> Result<Child> {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {:?}", self.command))
    }

    /// Starts the program and leaves it running, with what it says going to a file; whoever holds the child ends it.
    ///
    /// # Errors
    /// When it cannot be started, or the file cannot be written.
    pub fn spawn_logged(mut self, log: &Path) -> Result<Child> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        self.command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {:?}", self.command))
    }
}

impl Output {
    /// Returns standard output as text without the white space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let stdout: String = stdout.chars().take(60_000).collect();
        write!(formatter, "{} ended with {:?}\n{stdout}\n{}", self.command, self.code, self.stderr)
    }
}
