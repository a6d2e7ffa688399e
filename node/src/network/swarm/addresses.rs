//! What the swarm's task does with address records: it tells its own, takes and passes on the others', and dials by them.
//!
//! A peer is told all of them when it connects and what is new as it comes; now and then one of the connected peers is told
//! all again, so that what was lost on its way is not lost for good.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::SwarmTask;
use crate::base::limits::SHUT_OUT_MS;
use crate::conduct::Offence;
use crate::members::Members;
use crate::network::address_book::{AddressBook, Taken};
use crate::network::address_file::{self, Keeper};
use crate::network::address_record::{self, decode_frame};
use crate::network::{DialAddress, NetworkConfig, Topic, limits};

/// The records, and what is kept of telling them.
pub(super) struct Addresses {
    book: AddressBook,
    keeper: Keeper,
    ticks: u32,
    /// Who was told all again last.
    told_again: Option<PeerId>,
}

impl Addresses {
    /// With this node's own record, which is kept before anybody hears of it.
    pub fn start(mut book: AddressBook, config: &NetworkConfig, listening: &Multiaddr, now_ms: u64) -> Self {
        book.announce(advertised(config, listening), now_ms);
        if let (Some(records), Some(file)) = (book.unkept(), book.file()) {
            address_file::write(file, &records);
        }
        let keeper = Keeper::start(book.file().cloned());
        Self { book, keeper, ticks: 0, told_again: None }
    }

    /// Has the file keep what is held. Called with each tick and at the end, not for each record: a peer could have the disk
    /// flushed as often as it likes.
    fn keep(&mut self) {
        if let Some(records) = self.book.unkept() {
            self.keeper.keep(records);
        }
    }

    /// Who keeps the records, to be waited for at the end: also with those that came since the last tick.
    pub fn into_keeper(mut self) -> Keeper {
        self.keep();
        self.keeper
    }

    /// Whether it is time to tell somebody all again.
    fn is_time_to_repeat(&mut self) -> bool {
        self.ticks = (self.ticks + 1) % limits::ADDRESS_REPEAT_TICKS;
        self.ticks == 0
    }
}

/// Where peers can dial this node: what the operator says, or where it listens if that is one address.
fn advertised(config: &NetworkConfig, listening: &Multiaddr) -> Vec<DialAddress> {
    if let Some(said) = &config.advertise {
        return said.clone();
    }
    // Of an unspecified address the swarm tells each interface's, and which of them others reach is not known.
    let is_one = !config.listen.ip().is_unspecified();
    DialAddress::from_multiaddr(listening)
        .filter(|address| is_one && address.is_dialable())
        .into_iter()
        .collect()
}

impl SwarmTask {
    /// Takes up what was held before the start.
    pub(super) fn schedule_held(&mut self) {
        let members = Arc::clone(&self.members.borrow());
        self.forget_strangers(&members);
        let held: Vec<PeerId> = self.addresses.book.others().map(|(peer, _)| peer).collect();
        for peer in held {
            self.schedule(peer);
        }
    }

    fn schedule(&mut self, peer: PeerId) {
        let addresses = self.addresses.book.addresses_of(&peer).iter().map(DialAddress::multiaddr).collect();
        let is_connected = self.connected.borrow().contains(&peer);
        self.redial.recorded(peer, addresses, is_connected, Instant::now());
    }

    /// A peer has sent records.
    pub(super) fn on_addresses(&mut self, from: PeerId, payload: &[u8]) {
        // A member that the ledger names no longer is about to be disconnected.
        let Some(institution) = self.conduct.institution(&from) else { return };
        let Ok(records) = decode_frame(payload) else {
            return self.conduct.refused(from, Offence::MalformedFrame);
        };
        let (members, now_ms) = (Arc::clone(&self.members.borrow()), self.conduct.now_ms());
        for record in records {
            match self.addresses.book.offer(record, &institution, &members, now_ms) {
                Ok(Taken::New(peer)) => self.schedule(peer),
                Ok(Taken::Nothing | Taken::Own) => {}
                Err(offence) => {
                    self.conduct.refused(from, offence);
                    return self.conduct.shut_out(&from, Duration::from_millis(SHUT_OUT_MS));
                }
            }
        }
    }

    /// Passes on what is new, and has it kept.
    pub(super) fn tend_addresses(&mut self) {
        let new = self.addresses.book.to_pass_on(self.conduct.now_ms());
        for frame in address_record::frames(new.iter()) {
            self.swarm.behaviour_mut().link.broadcast(Topic::Addresses, &frame);
        }
        self.addresses.keep();
        if self.addresses.is_time_to_repeat() {
            let next = {
                let connected = self.connected.borrow();
                let after = connected.iter().find(|peer| self.addresses.told_again < Some(**peer));
                after.or_else(|| connected.first()).copied()
            };
            self.addresses.told_again = next;
            next.into_iter().for_each(|peer| self.tell_addresses(peer));
        }
    }

    /// Tells a peer all records.
    pub(super) fn tell_addresses(&mut self, peer: PeerId) {
        for frame in address_record::frames(self.addresses.book.records()) {
            self.swarm.behaviour_mut().link.send(peer, Topic::Addresses, frame);
        }
    }

    /// The records of nodes that the ledger does not name, or names no longer, count no more.
    pub(super) fn forget_strangers(&mut self, members: &Members) {
        let gone = self.addresses.book.retain(members);
        for peer in &gone {
            self.redial.forget(peer);
        }
        self.addresses.keep();
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::id::{ChainId, InstitutionId};

    use super::*;
    use crate::network::NodeIdentity;
    use crate::network::address_record::AddressRecord;

    /// The second of two records is not passed on for seconds. It was not kept until then either, so that a node which
    /// stopped did not find the peer again.
    #[tokio::test]
    async fn what_came_a_moment_before_the_end_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("addresses.bin");
        let chain_id = ChainId([7; 32]);
        let identity = |number: u8| NodeIdentity::from_ed25519_seed([number; 32]).unwrap();
        let from = InstitutionId::new("member").unwrap();
        let members = Members::of([(identity(2).peer_id(), from.clone())].into_iter());
        let listening = "/ip4/10.0.0.7/tcp/26600".parse().unwrap();
        let book = AddressBook::open(identity(1), chain_id, file.clone(), 0);
        let mut addresses = Addresses::start(book, &NetworkConfig::default(), &listening, 0);
        for (now_ms, address) in [(1_000, "10.0.0.8:1"), (1_001, "10.0.0.8:2")] {
            let record = AddressRecord::sign(&identity(2), chain_id, now_ms, vec![address.parse().unwrap()]);
            addresses.book.offer(record, &from, &members, now_ms).unwrap();
            addresses.book.to_pass_on(now_ms);
        }
        addresses.into_keeper().finish().await;
        let kept = address_file::read(&file, chain_id);
        let of_peer = kept.iter().find(|record| record.key() == identity(2).public_key()).unwrap();
        assert_eq!(of_peer.addresses(), ["10.0.0.8:2".parse().unwrap()]);
    }

    #[test]
    fn a_node_tells_what_the_operator_says_or_the_one_address_where_it_listens() {
        let listening = "/ip4/10.0.0.7/tcp/26600".parse().unwrap();
        let told = |listen: &str, advertise: Option<&[&str]>| -> Vec<String> {
            let advertise = advertise.map(|all| all.iter().map(|address| address.parse().unwrap()).collect());
            let config = NetworkConfig { listen: listen.parse().unwrap(), advertise, ..Default::default() };
            advertised(&config, &listening).iter().map(ToString::to_string).collect()
        };
        assert_eq!(told("10.0.0.7:0", None), ["10.0.0.7:26600"]);
        assert!(told("10.0.0.7:0", Some(&[])).is_empty());
        assert!(told("0.0.0.0:26600", None).is_empty());
        assert_eq!(told("0.0.0.0:26600", Some(&["node.example:1"])), ["node.example:1"]);
    }
}
