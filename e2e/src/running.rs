//! A program that runs while something else happens.

use std::{
    io::Read,
    process::Child,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::Output;

/// How often is looked whether it ended.
const POLL: Duration = Duration::from_millis(20);

/// A program that runs, and is ended with this.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    deadline: Duration,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Takes a program with pipes for its standard output and error, which is to end within `deadline` from now.
    pub(crate) fn new(command: String, mut child: Child, deadline: Duration) -> Self {
        let (stdout, stderr) = (child.stdout.take().map(drain), child.stderr.take().map(drain));
        Self { command, child, deadline, stdout, stderr }
    }

    /// Tells whether it has not ended yet.
    ///
    /// # Errors
    /// When the system does not say it.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills it, so that it cannot say goodbye, and returns what it left behind: a code if it ended before.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn kill(mut self) -> Result<Output> {
        self.child.kill()?;
        self.output()
    }

    /// Waits for its end, whatever its exit code.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn output(mut self) -> Result<Output> {
        let start = Instant::now();
        while self.is_running()? {
            if start.elapsed() > self.deadline {
                bail!("{} did not end within {} s", self.command, self.deadline.as_secs());
            }
            thread::sleep(POLL);
        }
        let code = self.child.wait()?.code();
        let collect = |thread: Option<JoinHandle<Vec<u8>>>| {
            thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (collect(self.stdout.take()), collect(self.stderr.take()));
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Output { command: self.command.clone(), code, stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a failure is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
