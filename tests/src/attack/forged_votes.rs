//! Votes in the validators' names with signatures that do not verify, thousands a second to every node, and for each new
//! height as many for the one after it as the engine keeps before it verifies anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arc_malachitebft_app_channel::app::types::core::VoteType;
use async_trait::async_trait;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use yilian_node::network::Topic;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::Signature;

use super::field::Field;
use super::peer::line::{Door, total};
use super::peer::{Ear, Host, Line};
use super::{Attack, Tally, votes};

/// Votes for each node in a second.
const RATE: u64 = 6_500;
const TICK: Duration = Duration::from_millis(10);
/// Votes are for the height under decision and for so many after it, which the nodes come to in the meantime.
const HEIGHTS_AHEAD: u64 = 2;
/// Inputs that the engine keeps for a later height.
const NEXT_HEIGHT: usize = 500;

pub struct ForgedVotes;

struct Forger {
    field: Field,
    ear: Arc<Ear>,
    random: StdRng,
}

impl Forger {
    fn vote(&mut self, height: Height) -> (Topic, Bytes) {
        let mut signature = [0; 64];
        self.random.fill(&mut signature[..]);
        let validators = self.field.validators.validators();
        let voter = validators[self.random.random_range(0..validators.len())].key;
        let kind = if self.random.random::<bool>() { VoteType::Prevote } else { VoteType::Precommit };
        let block = BlockId(self.random.random());
        votes::under(votes::vote((kind, height, 0), Some(block), voter), Signature::Ed25519(signature))
    }

    async fn forge(mut self, door: Door, until: Instant) -> (u64, u64) {
        let mut line = Line::new(door, "consensus");
        let (mut ticks, mut height) = (tokio::time::interval(TICK), Height(0));
        while Instant::now() < until {
            ticks.tick().await;
            let now = self.ear.height();
            let ahead = |number: u64| Height(now.0 + number % (HEIGHTS_AHEAD + 1));
            let mut frames: Vec<(Topic, Bytes)> =
                (0..RATE * TICK.as_millis() as u64 / 1_000).map(|number| self.vote(ahead(number))).collect();
            if now > height {
                height = now;
                frames.extend((0..NEXT_HEIGHT).map(|_| self.vote(now.next())));
            }
            line.send(&frames).await;
        }
        (line.sent, line.ended)
    }
}

#[async_trait]
impl Attack for ForgedVotes {
    async fn run(&mut self, field: &Field, until: Instant) -> Result<Tally> {
        let ear = field.ear();
        let host: Arc<dyn Host> = ear.clone();
        let mut forgers = JoinSet::new();
        for (door, seed) in field.doors(&host).into_iter().zip(0..) {
            let (field, ear, random) = (field.clone(), Arc::clone(&ear), StdRng::seed_from_u64(seed));
            forgers.spawn(Forger { field, ear, random }.forge(door, until));
        }
        Ok(total("votes", forgers.join_all().await))
    }
}
