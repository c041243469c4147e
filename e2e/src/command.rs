//! Running programs, with a deadline and with everything they said in the error.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io::{Read, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How long a program may run, unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(300);
/// How often is looked whether it ended.
const POLL: Duration = Duration::from_millis(20);

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
    pub fn output(mut self) -> Result<Output> {
        let command = format!("{:?}", self.command).replace('"', "");
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command}"))?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        let input = std::mem::take(&mut self.stdin);
        // A program that does not read its input ends all the same.
        thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = drain(child.stdout.take().context("no standard output")?);
        let stderr = drain(child.stderr.take().context("no standard error")?);
        let code = wait(&mut child, self.deadline, &command)?;
        let collect = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
        let stderr = String::from_utf8_lossy(&collect(stderr)).into_owned();
        Ok(Output { command, code, stdout: collect(stdout), stderr })
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

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a failure is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn wait(child: &mut Child, deadline: Duration, command: &str) -> Result<Option<i32>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if start.elapsed() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("{command} did not end within {} s", deadline.as_secs());
        }
        thread::sleep(POLL);
    }
}
