//! The gate and the links over real TCP: a member gets through, a stranger does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, SwarmBuilder, noise, request_response, tcp, yamux};
use tokio::sync::watch;
use yilian_spec::base::id::{ChainId, InstitutionId};

use super::address_record::{AddressRecord, frames};
use super::link::{Link, LinkEvent};
use super::*;
use crate::base::clock::SystemClock;
use crate::conduct::{Conduct, Offence};
use crate::members::Members;

const PATIENCE: Duration = Duration::from_secs(30);

fn identity(number: u8) -> NodeIdentity {
    NodeIdentity::from_ed25519_seed([number; 32]).unwrap()
}

/// Somebody who speaks all protocols of the node, has a valid key and never identifies itself.
#[derive(NetworkBehaviour)]
struct Talker {
    link: Link,
    sync: arc_malachitebft_sync::Behaviour,
}

fn talker(number: u8) -> Swarm<Talker> {
    let sync = arc_malachitebft_sync::Behaviour::new(Default::default(), "/yilian/test/sync/1".to_owned());
    let behaviour = Talker { link: Link::new("test".to_owned()), sync: sync.unwrap() };
    SwarmBuilder::with_existing_identity(identity(number).keypair().clone())
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .build()
}

fn institution(number: usize) -> InstitutionId {
    InstitutionId::new(&format!("member-{number}")).unwrap()
}

/// A node of an institution of its own for each identity.
fn members_of(numbers: &[u8]) -> Arc<Members> {
    let nodes = numbers.iter().map(|number| (identity(*number).peer_id(), institution(usize::from(*number))));
    Arc::new(Members::of(nodes))
}

fn conduct(members: &watch::Sender<Arc<Members>>) -> Conduct {
    Conduct::new(members.subscribe(), Arc::new(SystemClock))
}

async fn start(
    number: u8,
    config: &NetworkConfig,
    members: &watch::Sender<Arc<Members>>,
) -> Result<Network, NetworkError> {
    let addresses = AddressBook::in_memory(identity(number), ChainId([7; 32]));
    spawn(config, "test", &identity(number), members.subscribe(), conduct(members), addresses).await
}

async fn node(members: &watch::Sender<Arc<Members>>) -> (Network, Multiaddr) {
    let config =
        NetworkConfig { listen: ([127, 0, 0, 1], 0).into(), peers: vec![], ..NetworkConfig::default() };
    let mut network = start(1, &config, members).await.unwrap();
    match network.events.recv().await {
        Some(NetworkEvent::Listening { address }) => (network, address),
        other => panic!("the first event is the address, not {other:?}"),
    }
}

/// Says everything there is to say as soon as a connection stands; returns how often one was opened and closed.
async fn talk(swarm: &mut Swarm<Talker>, node_peer: PeerId, until: impl Fn(&Outcome) -> bool) -> Outcome {
    let mut outcome = Outcome::default();
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    while !until(&outcome) {
        let event = tokio::select! {
            event = swarm.select_next_some() => event,
            () = &mut deadline => panic!("waited in vain: {outcome:?}"),
        };
        match event {
            SwarmEvent::ConnectionEstablished { .. } => {
                outcome.opened += 1;
                let behaviour = swarm.behaviour_mut();
                for topic in Topic::ALL {
                    behaviour.link.broadcast(topic, &Bytes::from_static(b"let me in"));
                }
                behaviour.sync.send_request(node_peer, Bytes::from_static(b"blocks, please"));
            }
            SwarmEvent::ConnectionClosed { .. } => outcome.closed += 1,
            SwarmEvent::Behaviour(TalkerEvent::Sync(request_response::Event::OutboundFailure { .. })) => {
                outcome.requests_failed += 1;
            }
            SwarmEvent::Behaviour(TalkerEvent::Link(LinkEvent::Received { .. })) => outcome.received += 1,
            _ => {}
        }
    }
    outcome
}

#[derive(Debug, Default)]
struct Outcome {
    opened: u32,
    closed: u32,
    requests_failed: u32,
    received: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_nothing_through_until_the_ledger_names_it() {
    let (members, _) = watch::channel(members_of(&[]));
    let (mut network, address) = node(&members).await;
    let node_peer = network.handle.local_peer();
    let mut stranger = talker(66);
    let stranger_peer = *stranger.local_peer_id();

    // From the stranger's side the handshake succeeds, and then the door is shut.
    for _ in 0..3 {
        stranger.dial(address.clone()).unwrap();
        let outcome =
            talk(&mut stranger, node_peer, |seen| seen.closed == 1 && seen.requests_failed == 1).await;
        assert_eq!((outcome.opened, outcome.received), (1, 0));
    }
    assert!(network.events.try_recv().is_err(), "not one event");
    assert!(network.transactions.try_recv().is_err(), "not one transaction");
    assert!(network.handle.connected().borrow().is_empty());

    // The same peer with the same words, once it is a member: so the silence above was the gate's doing.
    members.send_replace(members_of(&[66]));
    tokio::task::yield_now().await;
    let mut heard = tokio::spawn(async move {
        let mut topics = Vec::new();
        let mut requests = 0;
        while topics.len() < 5 || requests == 0 {
            match network.events.recv().await.unwrap() {
                NetworkEvent::Frame { from, topic, payload } => {
                    assert_eq!((from, payload.as_ref()), (stranger_peer, b"let me in".as_slice()));
                    topics.push(topic);
                }
                NetworkEvent::SyncRequest { from, .. } => {
                    assert_eq!(from, stranger_peer);
                    requests += 1;
                }
                _ => {}
            }
        }
        let batch = network.transactions.recv().await.unwrap();
        assert_eq!(batch.from, stranger_peer);
        network
    });
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut network = loop {
        // The member list may be read only after the first try; dial again until the words arrive.
        stranger.dial(address.clone()).unwrap();
        let again = tokio::time::sleep(Duration::from_secs(2));
        tokio::select! {
            network = &mut heard => break network.unwrap(),
            _ = talk(&mut stranger, node_peer, |_| false) => unreachable!("it talks until it is heard"),
            () = again => assert!(tokio::time::Instant::now() < deadline, "a member is not heard"),
        }
    };

    // Expelled: the connection is closed from this side.
    members.send_replace(members_of(&[]));
    let connected = network.handle.connected();
    let gone = async {
        while !connected.borrow().is_empty() {
            tokio::select! {
                _ = stranger.select_next_some() => {}
                event = network.events.recv() => drop(event),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    network.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_peers_find_each_other_again_after_a_restart() {
    let (members, _) = watch::channel(members_of(&[1, 2]));
    let (first, address) = node(&members).await;
    let mut drain = first.events;
    tokio::spawn(async move { while drain.recv().await.is_some() {} });
    let peer = PeerAddress { peer: identity(1).peer_id(), address };
    for _ in 0..2 {
        let config = NetworkConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            peers: vec![peer.clone()],
            ..NetworkConfig::default()
        };
        let mut second = start(2, &config, &members).await.unwrap();
        let mut seen_by_first = first.handle.connected();
        let there = seen_by_first.wait_for(|peers| peers.contains(&identity(2).peer_id()));
        tokio::time::timeout(PATIENCE, there).await.unwrap().unwrap();
        loop {
            assert!(first.handle.gossip_transactions(Bytes::from_static(b"batch")));
            let next = tokio::time::timeout(Duration::from_millis(500), second.transactions.recv()).await;
            if let Ok(Some(batch)) = next {
                assert_eq!((batch.from, batch.bytes.as_ref()), (identity(1).peer_id(), b"batch".as_slice()));
                break;
            }
        }
        second.handle.shutdown().await;
        let gone = seen_by_first.wait_for(BTreeSet::is_empty);
        tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
    }
}

/// The consensus frames that a peer receives up to the one that says `end`.
async fn frames_until_end(network: &mut Network) -> Vec<Bytes> {
    let mut frames = Vec::new();
    loop {
        let event = tokio::time::timeout(PATIENCE, network.events.recv()).await.unwrap().unwrap();
        match event {
            NetworkEvent::Frame { payload, .. } if payload.as_ref() == b"end" => return frames,
            NetworkEvent::Frame { payload, .. } => frames.push(payload),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_connects_late_is_sent_what_stands_and_nothing_else() {
    let (members, _) = watch::channel(members_of(&[1, 2]));
    let (first, address) = node(&members).await;
    let mut drain = first.events;
    tokio::spawn(async move { while drain.recv().await.is_some() {} });
    let says = |text: &'static str| first.handle.broadcast_standing(Topic::Consensus, Bytes::from(text));
    says("of an earlier round").await.unwrap();
    first.handle.clear_standing().await.unwrap();
    first.handle.broadcast(Topic::Consensus, Bytes::from_static(b"passing")).await.unwrap();
    says("a proposal").await.unwrap();
    says("a vote").await.unwrap();

    let peer = PeerAddress { peer: identity(1).peer_id(), address };
    let config =
        NetworkConfig { listen: ([127, 0, 0, 1], 0).into(), peers: vec![peer], ..NetworkConfig::default() };
    let mut second = start(2, &config, &members).await.unwrap();
    let mut seen_by_first = first.handle.connected();
    let there = seen_by_first.wait_for(|peers| peers.contains(&identity(2).peer_id()));
    tokio::time::timeout(PATIENCE, there).await.unwrap().unwrap();
    first.handle.broadcast(Topic::Consensus, Bytes::from_static(b"end")).await.unwrap();
    assert_eq!(frames_until_end(&mut second).await, ["a proposal", "a vote"]);
    second.handle.shutdown().await;
    first.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_know_only_a_third_find_each_other_by_what_it_passes_on() {
    let (members, _) = watch::channel(members_of(&[1, 2, 3]));
    let (third, address) = node(&members).await;
    let peer = PeerAddress { peer: identity(1).peer_id(), address };
    let mut networks = vec![third];
    for number in [2, 3] {
        let (listen, peers) = (([127, 0, 0, 1], 0).into(), vec![peer.clone()]);
        let config = NetworkConfig { listen, peers, ..NetworkConfig::default() };
        networks.push(start(number, &config, &members).await.unwrap());
    }
    for network in &networks {
        let mut connected = network.handle.connected();
        let all = connected.wait_for(|peers| peers.len() == 2);
        tokio::time::timeout(PATIENCE, all).await.unwrap().unwrap();
    }
    for network in networks {
        network.handle.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_passes_on_a_forged_address_is_shut_out_and_it_stands_in_its_account() {
    let (members, _) = watch::channel(members_of(&[1, 66, 67]));
    let book = conduct(&members);
    let config = NetworkConfig { listen: ([127, 0, 0, 1], 0).into(), ..NetworkConfig::default() };
    let addresses = AddressBook::in_memory(identity(1), ChainId([7; 32]));
    let network =
        spawn(&config, "test", &identity(1), members.subscribe(), book.clone(), addresses).await.unwrap();
    let address = network.handle.listening().borrow()[0].clone();
    let mut liar = talker(66);
    liar.dial(address.clone()).unwrap();
    // It says of another member what that one has said on another ledger.
    let nowhere = vec!["127.0.0.1:9".parse().unwrap()];
    let record = AddressRecord::sign(&identity(67), ChainId([8; 32]), book.now_ms(), nowhere);
    let frame = frames([record].iter()).remove(0);
    let lie = async {
        loop {
            match liar.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => {
                    liar.behaviour_mut().link.broadcast(Topic::Addresses, &frame);
                }
                SwarmEvent::ConnectionClosed { .. } if book.is_shut_out(&institution(66)) => return,
                // It answers no pings, so it may be closed before it was heard.
                SwarmEvent::ConnectionClosed { .. } => liar.dial(address.clone()).unwrap(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, lie).await.unwrap();
    let report = book.report();
    let account = report.iter().find(|account| account.institution == "member-66").unwrap();
    assert!(account.refused.iter().any(|refused| refused.offence == Offence::ForgedAddress), "{account:?}");
    network.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config =
        NetworkConfig { listen: holder.local_addr().unwrap(), peers: vec![], ..NetworkConfig::default() };
    let (members, _) = watch::channel(members_of(&[]));
    let error = start(1, &config, &members).await.unwrap_err();
    assert!(matches!(error, NetworkError::Listen { .. }), "{error}");
}
