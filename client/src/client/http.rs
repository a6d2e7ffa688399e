//! The HTTP clients under the transport: one that goes straight to a node, and, where the environment names a proxy, one
//! that goes through it.
//!
//! A proxy sees what goes over plain HTTP, tokens and records; and the loopback of a proxy is not this machine's. So the
//! environment's proxy is used for HTTPS to other machines alone, where it carries what it cannot read.

use std::sync::Once;
use std::time::Duration;

use reqwest::{NoProxy, Proxy, Url};

use crate::error::ClientError;
use crate::limits;

/// The variables that name a proxy for HTTPS, the first that is set counts.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The clients.
#[derive(Debug)]
pub struct Http {
    direct: reqwest::Client,
    proxied: Option<Proxied>,
}

#[derive(Debug)]
struct Proxied {
    client: reqwest::Client,
    /// Which proxy, from which variable, for people.
    name: String,
}

impl Http {
    /// Clients that trust these certificates in PEM beside those of the system.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when the certificates or the proxy cannot be used.
    pub fn new(ca_pem: Option<&[u8]>) -> Result<Self, ClientError> {
        let given = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let proxy = PROXY_VARIABLES.iter().find_map(|name| Some((*name, given(name)?)));
        Self::with_proxy(ca_pem, proxy.as_ref().map(|(name, address)| (*name, address.as_str())))
    }

    fn with_proxy(ca_pem: Option<&[u8]>, proxy: Option<(&str, &str)>) -> Result<Self, ClientError> {
        install_tls();
        let setup = |error: reqwest::Error| ClientError::Setup(chain_of(&error));
        let direct = builder(ca_pem)?.no_proxy().build().map_err(setup)?;
        let Some((variable, address)) = proxy else { return Ok(Self { direct, proxied: None }) };
        let wrong = |error: reqwest::Error| {
            ClientError::Setup(format!("the proxy in {variable} cannot be used: {}", chain_of(&error)))
        };
        let through = Proxy::https(address).map_err(wrong)?.no_proxy(NoProxy::from_env());
        let client = builder(ca_pem)?.proxy(through).build().map_err(wrong)?;
        let name = format!("the proxy {} of {variable}", without_password(address));
        Ok(Self { direct, proxied: Some(Proxied { client, name }) })
    }

    /// The client for an address.
    pub fn of(&self, url: &Url) -> &reqwest::Client {
        self.proxy_of(url).map_or(&self.direct, |proxied| &proxied.client)
    }

    /// What went wrong with a request to an address, and through which proxy it went.
    pub fn explain(&self, url: &Url, error: &reqwest::Error) -> String {
        match self.proxy_of(url) {
            Some(proxied) => {
                format!("through {}, unless NO_PROXY excepts it: {}", proxied.name, chain_of(error))
            }
            None => chain_of(error),
        }
    }

    fn proxy_of(&self, url: &Url) -> Option<&Proxied> {
        self.proxied.as_ref().filter(|_| url.scheme() == "https" && !is_loopback(url))
    }
}

/// What both clients have in common.
fn builder(ca_pem: Option<&[u8]>) -> Result<reqwest::ClientBuilder, ClientError> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("yilian/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(limits::CONNECT_TIMEOUT_MS))
        .read_timeout(Duration::from_millis(limits::SILENCE_MS_MAX))
        .redirect(reqwest::redirect::Policy::none());
    let Some(pem) = ca_pem else { return Ok(builder) };
    let certificates =
        reqwest::Certificate::from_pem_bundle(pem).map_err(|error| ClientError::Setup(chain_of(&error)))?;
    Ok(builder.tls_certs_merge(certificates))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_name = host == "localhost" || host.ends_with(".localhost");
    is_name || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A proxy's address as it may be shown.
fn without_password(address: &str) -> String {
    let Ok(mut url) = address.parse::<Url>() else { return "(an address that cannot be read)".to_owned() };
    let _ = url.set_password(None).and_then(|()| url.set_username(""));
    url.to_string()
}

/// The cryptography behind TLS, once for the process; one that the program installed before stays.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that the program has installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// An error with its causes: the first of them alone says only that sending failed.
fn chain_of(error: &reqwest::Error) -> String {
    // Where it names the address, so does whoever tells it.
    let mut source = std::error::Error::source(error);
    let mut text = match (error.url(), source) {
        (Some(_), Some(cause)) => cause.to_string(),
        _ => error.to_string(),
    };
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_carries_only_what_it_cannot_read_to_other_machines() {
        let http = Http::with_proxy(None, Some(("HTTPS_PROXY", "http://me:secret@127.0.0.1:3128"))).unwrap();
        let goes_through = |url: &str| http.proxy_of(&url.parse().unwrap()).is_some();
        for url in ["https://ledger.example:8600", "https://10.1.2.3"] {
            assert!(goes_through(url), "{url}");
        }
        for url in [
            "http://ledger.example:8600",
            "http://127.0.0.1:8600",
            "https://127.0.0.1:8600",
            "https://127.8.8.8",
            "https://[::1]:8600",
            "https://localhost",
            "https://node.localhost:1",
        ] {
            assert!(!goes_through(url), "{url}");
        }
        let name = &http.proxied.as_ref().unwrap().name;
        assert!(name.contains("127.0.0.1:3128") && name.contains("HTTPS_PROXY"), "{name}");
        assert!(!name.contains("secret") && !name.contains("me"), "{name}");
        assert!(Http::with_proxy(None, None).unwrap().proxied.is_none());
    }
}
