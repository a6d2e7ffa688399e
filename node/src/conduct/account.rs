//! What is kept of one institution: what its nodes sent, what of it was refused, where they are.

use std::collections::BTreeMap;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::Offence;
use crate::base::limits;
use crate::network::Topic;

/// One institution's account, as `yilian-node peers` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstitutionConduct {
    /// The institution, or [`super::STRANGERS`].
    pub institution: String,
    /// Its nodes that are connected.
    pub connected: Vec<ConnectedPeer>,
    /// Where the last of its nodes was or should have been, if one ever connected.
    pub last_address: Option<String>,
    /// Why the last connection to it, or try at one, ended; absent while a node of it is connected.
    pub last_failure: Option<String>,
    /// Since when it is kept account of, in milliseconds since 1970-01-01 UTC.
    pub since_ms: u64,
    /// What arrived, by topic; those of which nothing arrived are left out.
    pub received: BTreeMap<String, Received>,
    /// What was refused.
    pub refused: Vec<Refused>,
    /// Until when its nodes are shut out, if they are, in milliseconds since 1970-01-01 UTC.
    pub shut_out_until_ms: Option<u64>,
    /// Whether the operator has disconnected it until further notice.
    pub is_disconnected: bool,
}

/// A node that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedPeer {
    /// Its peer id.
    pub peer: String,
    /// From where.
    pub address: String,
    /// Since when, in milliseconds since 1970-01-01 UTC.
    pub since_ms: u64,
}

/// What arrived of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Frames.
    pub frames: u64,
    /// Their payloads' bytes.
    pub bytes: u64,
}

/// What was refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The reason.
    pub offence: Offence,
    /// How often.
    pub count: u64,
    /// When first, in milliseconds since 1970-01-01 UTC.
    pub first_ms: u64,
    /// When last.
    pub last_ms: u64,
    /// What to do about it.
    pub remedy: String,
}

/// How often something was refused, and what of it stands in the log.
#[derive(Debug, Clone, Copy)]
struct Tally {
    count: u64,
    first_ms: u64,
    last_ms: u64,
    logged_ms: Option<u64>,
    unlogged: u64,
}

/// The account itself. Its size is bounded: closed enums, and the peers that are connected, which the gate bounds.
#[derive(Debug)]
pub(super) struct Account {
    since_ms: u64,
    connected: BTreeMap<PeerId, (String, u64)>,
    last_address: Option<String>,
    received: [Received; Topic::ALL.len()],
    refused: BTreeMap<Offence, Tally>,
    pub shut_out_until_ms: Option<u64>,
    /// Since when no node of it is connected.
    away_since_ms: u64,
    /// Why the last connection to it, or try at one, ended.
    last_failure: Option<String>,
}

impl Account {
    pub fn new(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            connected: BTreeMap::new(),
            last_address: None,
            received: Default::default(),
            refused: BTreeMap::new(),
            shut_out_until_ms: None,
            away_since_ms: now_ms,
            last_failure: None,
        }
    }

    pub fn connected(&mut self, peer: PeerId, address: String, now_ms: u64) {
        self.last_address = Some(address.clone());
        self.last_failure = None;
        self.connected.insert(peer, (address, now_ms));
    }

    pub fn disconnected(&mut self, peer: &PeerId, now_ms: u64) {
        if self.connected.remove(peer).is_some() && self.connected.is_empty() {
            self.away_since_ms = now_ms;
        }
    }

    pub fn failed(&mut self, address: Option<String>, reason: String) {
        self.last_address = address.or(self.last_address.take());
        self.last_failure = Some(reason);
    }

    /// Since when no node of it is connected, and why the last try failed; `None` while one is.
    pub fn away(&self) -> Option<(u64, Option<&str>)> {
        self.connected.is_empty().then_some((self.away_since_ms, self.last_failure.as_deref()))
    }

    pub fn seen_at(&mut self, address: String) {
        self.last_address = Some(address);
    }

    pub fn last_address(&self) -> Option<&str> {
        self.last_address.as_deref()
    }

    pub fn received(&mut self, topic: Topic, bytes: usize) {
        let received = &mut self.received[topic.index()];
        received.frames += 1;
        received.bytes = received.bytes.saturating_add(bytes as u64);
    }

    /// Counts; returns how many are to be logged now, if the last line is old enough.
    pub fn refused(&mut self, offence: Offence, count: u64, now_ms: u64) -> Option<u64> {
        let fresh = Tally { count: 0, first_ms: now_ms, last_ms: now_ms, logged_ms: None, unlogged: 0 };
        let tally = self.refused.entry(offence).or_insert(fresh);
        tally.count = tally.count.saturating_add(count);
        tally.unlogged = tally.unlogged.saturating_add(count);
        tally.last_ms = now_ms;
        let is_due = tally.count > offence.ordinary()
            && tally
                .logged_ms
                .is_none_or(|logged| now_ms.saturating_sub(logged) >= limits::CONDUCT_LOG_INTERVAL_MS);
        is_due.then(|| {
            tally.logged_ms = Some(now_ms);
            std::mem::take(&mut tally.unlogged)
        })
    }

    /// What is kept, in the words of `yilian-node peers`.
    pub fn report(
        &self,
        institution: Option<&str>,
        is_disconnected: bool,
        now_ms: u64,
    ) -> InstitutionConduct {
        let traffic = Topic::ALL.into_iter().map(|topic| (topic, self.received[topic.index()]));
        let refused = self.refused.iter().map(|(offence, tally)| Refused {
            offence: *offence,
            count: tally.count,
            first_ms: tally.first_ms,
            last_ms: tally.last_ms,
            remedy: offence.remedy(institution),
        });
        InstitutionConduct {
            institution: institution.unwrap_or(super::STRANGERS).to_owned(),
            connected: self
                .connected
                .iter()
                .map(|(peer, (address, since_ms))| ConnectedPeer {
                    peer: peer.to_string(),
                    address: address.clone(),
                    since_ms: *since_ms,
                })
                .collect(),
            last_address: self.last_address.clone(),
            last_failure: self.last_failure.clone().filter(|_| self.connected.is_empty()),
            since_ms: self.since_ms,
            received: traffic
                .filter(|(_, received)| received.frames > 0)
                .map(|(topic, received)| (topic.name().to_owned(), received))
                .collect(),
            refused: refused.collect(),
            shut_out_until_ms: self.shut_out_until_ms.filter(|until| *until > now_ms),
            is_disconnected,
        }
    }
}
