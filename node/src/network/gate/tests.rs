//! The gate's counting: places are an institution's, and some are kept for validators.

use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::base::clock::ManualClock;

fn institution(name: &str) -> InstitutionId {
    InstitutionId::new(name).unwrap()
}

struct World {
    gate: Gate,
    clock: Arc<ManualClock>,
    next: usize,
}

impl World {
    fn new(nodes: &[(PeerId, InstitutionId)], validating: &[&str]) -> Self {
        let members = Members::of(nodes.iter().cloned())
            .with_validating(validating.iter().map(|name| institution(name)));
        let members = Arc::new(members);
        let clock = Arc::new(ManualClock::at(0));
        let conduct = Conduct::new(watch::channel(Arc::clone(&members)).1, Arc::clone(&clock) as _);
        Self { gate: Gate::new(members, conduct), clock, next: 0 }
    }

    /// One more connection of a peer.
    fn connect(&mut self, peer: PeerId) -> Result<(), Refusal> {
        self.gate.check(&peer)?;
        self.next += 1;
        self.gate.established.insert(ConnectionId::new_unchecked(self.next), peer);
        Ok(())
    }
}

#[test]
fn more_keys_give_an_institution_no_more_places() {
    let greedy: Vec<(PeerId, InstitutionId)> =
        (0..64).map(|_| (PeerId::random(), institution("greedy"))).collect();
    let modest = PeerId::random();
    let mut nodes = greedy.clone();
    nodes.push((modest, institution("modest")));
    let mut world = World::new(&nodes, &["modest"]);
    let connected = greedy.iter().filter(|(peer, _)| world.connect(*peer).is_ok()).count();
    assert_eq!(connected, limits::CONNECTIONS_PER_INSTITUTION_MAX);
    assert_eq!(world.connect(greedy[63].0), Err(Refusal::InstitutionFull));
    assert_eq!(world.connect(modest), Ok(()));
    assert_eq!(world.connect(PeerId::random()), Err(Refusal::NotAMember));
}

#[test]
fn who_does_not_validate_cannot_take_the_validators_places() {
    let many: Vec<(PeerId, InstitutionId)> =
        (0..1_100).map(|number| (PeerId::random(), institution(&format!("member-{number}")))).collect();
    let validator = PeerId::random();
    let mut nodes = many.clone();
    nodes.push((validator, institution("validator")));
    let mut world = World::new(&nodes, &["validator"]);
    let connected = many.iter().filter(|(peer, _)| world.connect(*peer).is_ok()).count();
    assert_eq!(connected, limits::CONNECTIONS_MAX - limits::CONNECTIONS_KEPT_FOR_VALIDATORS);
    assert_eq!(world.connect(many[1_099].0), Err(Refusal::Full));
    assert_eq!(world.connect(validator), Ok(()));
}

#[test]
fn who_is_shut_out_is_closed_and_comes_back_when_the_time_is_over() {
    let (first, second, other) = (PeerId::random(), PeerId::random(), PeerId::random());
    let nodes = [(first, institution("rude")), (second, institution("rude")), (other, institution("polite"))];
    let mut world = World::new(&nodes, &[]);
    for (peer, _) in &nodes {
        world.connect(*peer).unwrap();
    }
    world.gate.conduct.shut_out(&first, Duration::from_secs(5));
    world.gate.enforce();
    let mut closing: Vec<PeerId> = world.gate.closing.drain(..).collect();
    closing.sort();
    let mut rude = vec![first, second];
    rude.sort();
    assert_eq!(closing, rude, "both nodes of the institution");
    world.gate.established.clear();
    assert_eq!(world.connect(second), Err(Refusal::ShutOut));
    assert_eq!(world.connect(other), Ok(()));
    world.clock.advance(5_000);
    assert_eq!(world.connect(second), Ok(()));

    world.gate.conduct.set_disconnected([institution("rude")].into());
    world.clock.advance(u64::MAX / 2);
    assert_eq!(world.connect(first), Err(Refusal::ShutOut), "until the operator lifts it");
    world.gate.conduct.set_disconnected(BTreeSet::new());
    assert_eq!(world.connect(first), Ok(()));
}

#[test]
fn half_open_connections_of_one_site_leave_room_for_another() {
    let mut world = World::new(&[], &[]);
    let local: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let [here, there]: [Multiaddr; 2] =
        ["/ip4/192.0.2.1/tcp/5", "/ip4/192.0.2.2/tcp/5"].map(|text| text.parse().unwrap());
    let open = |world: &mut World, from: &Multiaddr| {
        world.next += 1;
        world
            .gate
            .handle_pending_inbound_connection(ConnectionId::new_unchecked(world.next), &local, from)
            .is_ok()
    };
    let taken = (0..1_000).filter(|_| open(&mut world, &here)).count();
    assert_eq!(taken, limits::HALF_OPEN_PER_SITE_MAX);
    assert!(open(&mut world, &there));
    // A handshake that ends gives its place back.
    world.gate.half_open.pop_first();
    assert!(open(&mut world, &here) && !open(&mut world, &here));
}

/// As the peer of a node that lost its disk, once the ledger names it.
#[test]
fn who_becomes_another_institutions_connects_anew_and_the_others_stay() {
    let (vouched, other) = (PeerId::random(), PeerId::random());
    let mut world =
        World::new(&[(vouched, institution("configured-peer")), (other, institution("other"))], &[]);
    world.connect(vouched).unwrap();
    world.connect(vouched).unwrap();
    world.connect(other).unwrap();
    let named = [(vouched, institution("county")), (other, institution("other"))];
    world.gate.set_members(Arc::new(Members::of(named.clone())));
    assert_eq!(world.gate.closing, [vouched], "once, however many connections it has");
    world.gate.closing.clear();
    world.gate.set_members(Arc::new(Members::of(named)));
    assert!(world.gate.closing.is_empty());
}
