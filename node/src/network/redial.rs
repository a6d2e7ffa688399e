//! When to dial which peer, and where: at once, then after pauses that double up to a bound.
//!
//! A peer is dialled where the configuration says and where its own record says ([`super::address_record`]), by turns until
//! it is reached. Peers of which only a record tells wait longer, and only so many of them are dialled at once.
//!
//! Pure: time comes in as an [`Instant`], what to dial comes out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::PeerAddress;
use super::limits::{RECORDED_DIALS_MAX, RECORDED_REDIAL_PAUSE_MAX, REDIAL_PAUSE_MAX, REDIAL_PAUSE_MIN};

/// The schedule of all peers whose addresses are known.
#[derive(Debug, Default)]
pub struct RedialSchedule {
    entries: BTreeMap<PeerId, Entry>,
    /// When the next one is due; kept, because it is asked for with every event of the swarm.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    /// Where the operator says that it is; also where a peer was whose key this one's has replaced.
    configured: Vec<Multiaddr>,
    /// Where it says itself that it is, but for what is configured.
    recorded: Vec<Multiaddr>,
    /// Which address is the next.
    turn: usize,
    state: State,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { until: Instant },
    Dialling,
    Connected,
}

impl Entry {
    fn new(state: State) -> Self {
        Self { configured: Vec::new(), recorded: Vec::new(), turn: 0, state, pause: REDIAL_PAUSE_MIN }
    }

    fn is_configured(&self) -> bool {
        !self.configured.is_empty()
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting { until } if until <= now)
    }

    /// The address whose turn it is: configured and recorded ones alternate. `None` if there is none.
    fn address(&self) -> Option<&Multiaddr> {
        let has_both = self.is_configured() && !self.recorded.is_empty();
        let (from, turn) = match has_both {
            true if self.turn % 2 == 1 => (&self.recorded, self.turn / 2),
            true => (&self.configured, self.turn / 2),
            false if self.is_configured() => (&self.configured, self.turn),
            false => (&self.recorded, self.turn),
        };
        from.get(turn % from.len().max(1))
    }

    fn pause_max(&self) -> Duration {
        if self.is_configured() { REDIAL_PAUSE_MAX } else { RECORDED_REDIAL_PAUSE_MAX }
    }
}

impl RedialSchedule {
    /// All configured `peers` are due now.
    pub fn new(peers: &[PeerAddress], now: Instant) -> Self {
        let mut schedule = Self::default();
        for PeerAddress { peer, address } in peers {
            let entry = schedule.entries.entry(*peer);
            entry
                .or_insert_with(|| Entry::new(State::Waiting { until: now }))
                .configured
                .push(address.clone());
        }
        schedule.find_next();
        schedule
    }

    /// The peers to dial now. Each counts as being dialled until [`Self::failed`],
    /// [`Self::connected`] or [`Self::disconnected`] says otherwise.
    pub fn due(&mut self, now: Instant) -> Vec<PeerAddress> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let mut free = self.free();
        let mut waiting: Vec<(&PeerId, &mut Entry)> =
            self.entries.iter_mut().filter(|(_, entry)| entry.is_due(now)).collect();
        // Who has waited longest comes first, so that all have their turn where not all can be dialled.
        waiting.sort_by_key(|(_, entry)| match entry.state {
            State::Waiting { until } => Some(until),
            State::Dialling | State::Connected => None,
        });
        let mut due = Vec::new();
        for (peer, entry) in waiting {
            let has_room = entry.is_configured() || free > 0;
            let Some(address) = entry.address().filter(|_| has_room) else { continue };
            due.push(PeerAddress { peer: *peer, address: address.clone() });
            free -= usize::from(!entry.is_configured());
            entry.state = State::Dialling;
        }
        self.find_next();
        due
    }

    /// When the next peer will be due, if any is waiting.
    pub const fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// How many more peers may be dialled that are not configured.
    fn free(&self) -> usize {
        let is_dialled = |entry: &&Entry| !entry.is_configured() && entry.state == State::Dialling;
        RECORDED_DIALS_MAX.saturating_sub(self.entries.values().filter(is_dialled).count())
    }

    fn find_next(&mut self) {
        let has_room = self.free() > 0;
        let waiting = self.entries.values().filter(|entry| entry.is_configured() || has_room);
        self.next = waiting
            .filter_map(|entry| match entry.state {
                State::Waiting { until } => Some(until),
                State::Dialling | State::Connected => None,
            })
            .min();
    }

    /// A peer says where it can be dialled. One that was not known is due now; the pauses of the others stay as they are,
    /// whatever they say how often.
    pub fn recorded(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, is_connected: bool, now: Instant) {
        let state = if is_connected { State::Connected } else { State::Waiting { until: now } };
        let entry = self.entries.entry(peer).or_insert_with(|| Entry::new(state));
        entry.recorded = addresses;
        entry.recorded.retain(|address| !entry.configured.contains(address));
        // It has moved: what it says now comes before what is configured.
        entry.turn = usize::from(entry.is_configured());
        if entry.address().is_none() {
            self.entries.remove(&peer);
        }
        self.find_next();
    }

    /// What a peer says counts no longer: the ledger does not name it any more.
    pub fn forget(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.recorded.clear();
            if !entry.is_configured() {
                self.entries.remove(peer);
            }
        }
        self.find_next();
    }

    /// Whether it is configured that a peer is at an address.
    pub fn is_configured(&self, peer: &PeerId, address: &Multiaddr) -> bool {
        self.entries.get(peer).is_some_and(|entry| entry.configured.contains(address))
    }

    /// Where `old` was configured `new` answers from now on: its node has another key.
    pub fn replace(&mut self, old: &PeerId, new: PeerId) {
        let Some(mut entry) = self.entries.remove(old) else { return };
        let configured = std::mem::take(&mut entry.configured);
        let (state, pause) = (entry.state, entry.pause);
        if !entry.recorded.is_empty() {
            self.entries.insert(*old, entry);
        }
        let entry = self.entries.entry(new).or_insert_with(|| Entry { pause, ..Entry::new(state) });
        entry.recorded.retain(|address| !configured.contains(address));
        entry.configured.extend(configured);
        self.find_next();
    }

    /// The peer is connected, by whoever's dial; it is not dialled while it stays so.
    pub fn connected(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.state = State::Connected;
            entry.pause = REDIAL_PAUSE_MIN;
        }
        self.find_next();
    }

    /// The last connection to the peer is gone.
    pub fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.state = State::Waiting { until: now + entry.pause };
        }
        self.find_next();
    }

    /// A dial failed; the next one goes to the next address and waits twice as long.
    pub fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(peer) else { return };
        if entry.state == State::Dialling {
            entry.state = State::Waiting { until: now + entry.pause };
            entry.pause = (entry.pause * 2).min(entry.pause_max());
            entry.turn = entry.turn.wrapping_add(1);
        }
        self.find_next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> PeerAddress {
        "12D3KooWGjMCJiQNXWpjvcKVVcPwwSfcYLfQLAHkSJ6BSeYpfdfr@127.0.0.1:1".parse().unwrap()
    }

    #[test]
    fn pauses_double_up_to_the_bound_and_start_over_after_a_connection() {
        let start = Instant::now();
        let mut schedule = RedialSchedule::new(&[peer()], start);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(schedule.due(now).len(), 1);
            assert!(schedule.due(now).is_empty(), "a dial under way is not repeated");
            schedule.failed(&peer().peer, now);
            let next = schedule.next_due().unwrap();
            pauses.push((next - now).as_millis());
            assert!(schedule.due(now).is_empty());
            now = next;
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 2000, 2000, 2000, 2000]);

        assert_eq!(schedule.due(now).len(), 1);
        schedule.connected(&peer().peer);
        assert_eq!(schedule.next_due(), None);
        schedule.failed(&peer().peer, now);
        assert_eq!(schedule.next_due(), None, "a second dial that fails does not disturb a connection");
        schedule.disconnected(&peer().peer, now);
        assert_eq!(schedule.next_due(), Some(now + REDIAL_PAUSE_MIN));
    }

    #[test]
    fn a_peer_with_another_key_is_dialled_where_it_was() {
        let start = Instant::now();
        let mut schedule = RedialSchedule::new(&[peer()], start);
        schedule.due(start);
        let new = PeerId::random();
        schedule.replace(&peer().peer, new);
        schedule.failed(&new, start);
        let due = schedule.due(schedule.next_due().unwrap());
        assert_eq!((due[0].peer, &due[0].address), (new, &peer().address));
        schedule.connected(&new);
        assert_eq!(schedule.next_due(), None);
    }

    fn place(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    /// Where the next dials go, if all fail.
    fn dialled(schedule: &mut RedialSchedule, times: usize) -> Vec<Multiaddr> {
        let mut places = Vec::new();
        for _ in 0..times {
            let now = schedule.next_due().unwrap();
            for due in schedule.due(now) {
                schedule.failed(&due.peer, now);
                places.push(due.address);
            }
        }
        places
    }

    #[test]
    fn what_is_configured_and_what_the_peer_says_have_their_turns_and_the_pauses_stay() {
        let start = Instant::now();
        let mut schedule = RedialSchedule::new(&[peer()], start);
        assert_eq!(dialled(&mut schedule, 3), [place(1), place(1), place(1)]);
        let due = schedule.next_due();
        // What is configured is not dialled twice as often because the peer says it too.
        schedule.recorded(peer().peer, vec![place(2), place(1), place(3)], false, start);
        assert_eq!(schedule.next_due(), due, "whoever says something new is dialled no earlier");
        assert_eq!(dialled(&mut schedule, 4), [place(2), place(1), place(3), place(1)]);
        // The address that worked is the first again.
        let now = schedule.next_due().unwrap();
        assert_eq!(schedule.due(now)[0].address, place(2));
        schedule.connected(&peer().peer);
        schedule.disconnected(&peer().peer, now);
        assert_eq!(dialled(&mut schedule, 2), [place(2), place(1)]);
        schedule.forget(&peer().peer);
        assert_eq!(dialled(&mut schedule, 2), [place(1), place(1)]);
    }

    #[test]
    fn peers_that_only_say_where_they_are_are_dialled_too_with_longer_pauses_and_few_at_once() {
        let start = Instant::now();
        let mut schedule = RedialSchedule::new(&[], start);
        let peers: Vec<PeerId> = (0..RECORDED_DIALS_MAX + 1).map(|_| PeerId::random()).collect();
        for peer in &peers {
            schedule.recorded(*peer, vec![place(2)], false, start);
        }
        let due = schedule.due(start);
        assert_eq!(due.len(), RECORDED_DIALS_MAX);
        assert_eq!(schedule.next_due(), None, "the last one waits until a dial has ended");
        schedule.failed(&due[0].peer, start);
        assert_eq!(schedule.due(start).len(), 1);
        let kept = due[0].peer;
        for peer in peers.iter().filter(|peer| **peer != kept) {
            schedule.forget(peer);
        }
        dialled(&mut schedule, 8);
        let last = schedule.next_due().unwrap();
        dialled(&mut schedule, 1);
        assert_eq!(schedule.next_due().unwrap() - last, RECORDED_REDIAL_PAUSE_MAX);
        schedule.recorded(kept, Vec::new(), false, start);
        assert_eq!(schedule.next_due(), None, "it has taken back what it said");
        schedule.recorded(kept, vec![place(2)], true, start);
        assert_eq!(schedule.next_due(), None, "it is connected");
    }

    #[test]
    fn a_peer_that_takes_anothers_configured_place_keeps_what_it_says_itself() {
        let start = Instant::now();
        let mut schedule = RedialSchedule::new(&[peer()], start);
        let new = PeerId::random();
        schedule.recorded(new, vec![place(2)], false, start);
        schedule.replace(&peer().peer, new);
        assert!(schedule.is_configured(&new, &place(1)) && !schedule.is_configured(&peer().peer, &place(1)));
        assert_eq!(dialled(&mut schedule, 2), [place(1), place(2)]);
    }
}
