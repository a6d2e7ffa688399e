//! A proposer that sends good blocks for rounds far ahead, as many as it has turns there: each would be executed and kept.

use arc_malachitebft_app_channel::app::types::core::Validator as _;
use yilian_node::application::Application as _;
use yilian_node::base::clock::Clock as _;
use yilian_node::consensus::context::EngineHeight;
use yilian_node::consensus::proposal::ProposalPosition;

use super::super::frame::Frame;
use super::super::host::Host;
use super::Liar;
use super::forge::{self, OTHER_ROUNDS};

/// Rounds in which it proposes, once a second.
const ROUNDS: usize = 40;

pub struct FarRounds;

impl Liar for FarRounds {
    fn unasked(&mut self, host: &mut Host) -> Vec<Frame> {
        let height = host.start().height;
        let (me, now_ms) = (host.address(), host.clock.now_ms());
        // A node that follows without its key, or abstains, builds nothing.
        let Ok(built) = host.ledger().build(height, OTHER_ROUNDS - 1, now_ms) else { return Vec::new() };
        let validators = host.participant.validators().clone();
        let is_turn = |round: &u32| *validators.proposer(EngineHeight::from(height), *round).address() == me;
        let rounds: Vec<u32> = (3..).filter(is_turn).take(ROUNDS).collect();
        let position = |round| ProposalPosition { height, round, valid_round: None };
        let parts = |round| forge::parts(host, position(round), built.block_id, built.bytes.clone());
        rounds.into_iter().flat_map(parts).collect()
    }
}
