//! A node's process: started, watched, stopped as an operator would, or killed as a power cut would.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a node may take to stop after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Ports that were free a moment ago, on the loopback address.
///
/// # Errors
/// When the system has none.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All are held until the last one is known, so that none is given twice.
    let listeners = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).context("no free port on the loopback address"))
        .collect::<Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// A running node.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    home: PathBuf,
    log: PathBuf,
    api: SocketAddr,
}

impl NodeProcess {
    /// Starts `yilian-node run` in a home. Its log goes to `node.log` there, after what stands in it already.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(program: &Path, home: &Path, api: SocketAddr) -> Result<Self> {
        Self::start_with(program, home, api, &[])
    }

    /// [`NodeProcess::start`] with further arguments.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start_with(program: &Path, home: &Path, api: SocketAddr, arguments: &[&str]) -> Result<Self> {
        let log = home.join("node.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .arg("run")
            .arg("--home")
            .arg(home)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, home: home.to_owned(), log, api })
    }

    /// The node's directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where its API listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The operating system's number of the process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of its log, for people.
    pub fn last_log_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Refuses when the process has ended.
    ///
    /// # Errors
    /// Says how it ended, with the end of its log.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the node in {} ended with {status}:\n{}", self.home.display(), self.last_log_lines());
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it has not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        bail!("the node in {} still runs after {limit:?}:\n{}", self.home.display(), self.last_log_lines())
    }

    /// Stops it as an operator does, with SIGTERM, and waits.
    ///
    /// # Errors
    /// When it does not stop in time; then it is killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let began = Instant::now();
        while began.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        self.kill()?;
        bail!(
            "the node in {} did not stop in {STOP_TIMEOUT:?}:\n{}",
            self.home.display(),
            self.last_log_lines()
        )
    }

    /// Kills it without warning, as `kill -9` does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .stderr(Stdio::null())
            .status()
            .context("cannot run `kill`")?;
        if !status.success() {
            // It has ended already; waiting for it will say how.
            return Ok(());
        }
        Ok(())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Whoever holds it is going away: leave no process behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
