//! A node's process: started, watched, stopped as an operator would, or killed as a power cut would.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt as _;

/// How long a node may take to stop after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Below the ports that systems give to outgoing connections and to whoever asks for any: of those, one that was free a
/// moment ago may be taken before its node listens.
const PORTS: Range<u16> = 10_000..32_000;

/// Ports that were free a moment ago, on the loopback address.
///
/// # Errors
/// When there are not as many.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    // From a random one on, so that consortia that are prepared at the same time hardly meet.
    let first = rand::rng().random_range(PORTS);
    let listeners: Vec<TcpListener> = (first..PORTS.end)
        .chain(PORTS.start..first)
        .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .take(count)
        .collect();
    ensure!(
        listeners.len() == count,
        "fewer than {count} ports of {PORTS:?} are free on the loopback address"
    );
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
    /// Starts `yilian-node run` in a home. Its log goes to `node.log` there, after what stands in it already. It stops when
    /// this process ends, however that comes about: then nobody holds its standard input open any more.
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
            .arg("--until-stdin-ends")
            .arg("--home")
            .arg(home)
            .args(arguments)
            .stdin(Stdio::piped())
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
