//! Reads where the node listens out of its configuration: the standard message for a wrong address names no remedy.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de};

/// Reads an address to listen on.
///
/// # Errors
/// What is expected instead.
pub fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "{text:?} is no address to listen on: write HOST:PORT with an IP address, such as 127.0.0.1:8600 or [::]:8600"
        ))
    })
}
