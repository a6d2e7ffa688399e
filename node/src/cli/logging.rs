//! The log: structured, on standard error, for people or for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The engine reports every vote at level `info`; ours says what matters. That its parts end is no trouble of its own: the
/// supervisor says so where it is, and that the engine's connector finds its channel closed says only that the node stops. The
/// configured level can name them to see more.
const ENGINE_QUIET: &str = "arc_malachitebft=warn,arc_malachitebft_engine::node=error,arc_malachitebft_app_channel::connector=off,libp2p_swarm=warn";

/// Starts the log of this process; `RUST_LOG` overrides the configured level. Later calls change nothing.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{ENGINE_QUIET},{}", config.level)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would be said on standard error, and panic there, which is what cannot be written.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that a log runs already, as in tests.
    let _ = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
