//! One of the gateway's programs, as a process in a folder of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::AnyError;

const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// A process that ends with whoever holds it.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program that lies beside this one. Its log is the newest of its name in the folder.
    pub(crate) fn start(
        name: &'static str,
        folder: &Path,
        variables: &[(&'static str, String)],
        arguments: &[String],
    ) -> Result<Self, AnyError> {
        let path = std::env::current_exe()?.with_file_name(name);
        if !path.is_file() {
            return Err(format!("{} is not there: `make chaos` builds it", path.display()).into());
        }
        let log = folder.join(name).with_extension("log");
        let mut command = Command::new(path);
        // Nothing of this machine's configuration: no variables, and no files in the working directory.
        command.env_clear().current_dir(folder).args(arguments).envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Self { name, child: command.spawn()?, log })
    }

    /// Errors: it has ended.
    pub(crate) fn runs(&mut self) -> Result<(), AnyError> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("{} has ended: {status}\n{}", self.name, self.log_end()).into()),
            None => Ok(()),
        }
    }

    /// Ends it at once (SIGKILL).
    pub(crate) fn kill(&mut self) -> Result<(), AnyError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) -> Result<(), AnyError> {
        let asked =
            Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status()?;
        if !asked.success() {
            return Err(format!("{} cannot be told to end", self.name).into());
        }
        Ok(())
    }

    /// Waits until it has ended, and gives its exit code, if it ended by itself.
    ///
    /// Errors: it did not end in time.
    pub(crate) async fn ended(&mut self, within: Duration) -> Result<Option<i32>, AnyError> {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status.code()),
                None if Instant::now() > deadline => {
                    return Err(
                        format!("{} does not end within {within:?}\n{}", self.name, self.log_end()).into()
                    );
                }
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Asks it to end (SIGTERM), and waits for that.
    ///
    /// Errors: it did not end well, or not in time.
    pub(crate) async fn stop(&mut self) -> Result<(), AnyError> {
        self.terminate()?;
        match self.ended(STOPS_WITHIN).await? {
            Some(0) => Ok(()),
            code => Err(format!("{} ended with {code:?}\n{}", self.name, self.log_end()).into()),
        }
    }

    /// How many bytes of its memory are in use (`VmRSS`).
    pub(crate) fn memory(&self) -> Result<u64, AnyError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("it has no memory")?;
        Ok(kib.trim().parse::<u64>()? * 1024)
    }

    /// Where it logs.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The end of what it has logged.
    pub(crate) fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n") + "\n"
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
