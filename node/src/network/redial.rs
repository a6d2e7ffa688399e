//! When to dial a configured peer again: at once, then after pauses that double up to a bound.
//!
//! Pure: time comes in as an [`Instant`], what to dial comes out.

use std::time::{Duration, Instant};

use libp2p::PeerId;

use super::PeerAddress;
use super::limits::{REDIAL_PAUSE_MAX, REDIAL_PAUSE_MIN};

/// The schedule of all configured peers.
#[derive(Debug)]
pub struct RedialSchedule {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where, and who must answer there; another one than was configured once its key was replaced.
    address: PeerAddress,
    state: State,
    pause: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Instant },
    Dialling,
    Connected,
}

impl RedialSchedule {
    /// All `peers` are due now.
    pub fn new(peers: &[PeerAddress], now: Instant) -> Self {
        let entry = |address: &PeerAddress| Entry {
            address: address.clone(),
            state: State::Waiting { until: now },
            pause: REDIAL_PAUSE_MIN,
        };
        Self { entries: peers.iter().map(entry).collect() }
    }

    /// The peers to dial now. Each counts as being dialled until [`Self::failed`],
    /// [`Self::connected`] or [`Self::disconnected`] says otherwise.
    pub fn due(&mut self, now: Instant) -> Vec<PeerAddress> {
        let mut due = Vec::new();
        for entry in &mut self.entries {
            if matches!(entry.state, State::Waiting { until } if until <= now) {
                entry.state = State::Dialling;
                due.push(entry.address.clone());
            }
        }
        due
    }

    /// When the next peer will be due, if any is waiting.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries
            .iter()
            .filter_map(|entry| match entry.state {
                State::Waiting { until } => Some(until),
                State::Dialling | State::Connected => None,
            })
            .min()
    }

    /// At `old`'s address `new` answers from now on: its node has another key.
    pub fn replace(&mut self, old: &PeerId, new: PeerId) {
        if let Some(entry) = self.entry(old) {
            entry.address.peer = new;
        }
    }

    fn entry(&mut self, peer: &PeerId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.address.peer == *peer)
    }

    /// The peer is connected, by whoever's dial; it is not dialled while it stays so.
    pub fn connected(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entry(peer) {
            entry.state = State::Connected;
            entry.pause = REDIAL_PAUSE_MIN;
        }
    }

    /// The last connection to the peer is gone.
    pub fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.entry(peer) {
            entry.state = State::Waiting { until: now + entry.pause };
        }
    }

    /// A dial failed; the next one waits twice as long.
    pub fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.entry(peer) else { return };
        if entry.state == State::Dialling {
            entry.state = State::Waiting { until: now + entry.pause };
            entry.pause = (entry.pause * 2).min(REDIAL_PAUSE_MAX);
        }
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
}
