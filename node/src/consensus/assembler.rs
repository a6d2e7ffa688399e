//! Puts proposals together from parts, in any order and within bounds.
//!
//! Parts come from any connected peer, so nothing is believed: the height must be the one being decided or the
//! next, the signer must be a validator and the round's proposer, the chunk must match the manifest. A proposer
//! holds at most [`PROPOSALS_PER_PROPOSER_MAX`] proposals here, two per round at most, and only its own can suffer
//! from its excess. Rounds far from the one under way are refused. Pure: no clock, no I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core::Validator as _;
use bytes::{Bytes, BytesMut};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::PublicKey;

use super::context::{EngineHeight, ValidatorSet};
use super::proposal::{CompleteProposal, Manifest, Part, PartError, SignedManifest};
use crate::base::limits::{
    PROPOSAL_ROUNDS_AHEAD_MAX, PROPOSAL_ROUNDS_BEHIND_MAX, PROPOSALS_PER_PROPOSER_MAX,
    PROPOSALS_PER_ROUND_MAX,
};

/// The height that is being decided, with its validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The height.
    pub height: Height,
    /// The round that is under way.
    pub round: u32,
    /// Who decides it, and who proposes when.
    pub validators: Arc<ValidatorSet>,
}

/// All proposals under way.
#[derive(Debug)]
pub struct Assembler {
    chain_id: ChainId,
    window: Window,
    open: BTreeMap<PublicKey, Vec<Open>>,
}

#[derive(Debug)]
struct Open {
    signed_manifest: Bytes,
    manifest: Arc<Manifest>,
    /// Emptied once the proposal is complete; the entry stays, so that repeated parts are recognised.
    chunks: Vec<Option<Bytes>>,
    missing: usize,
}

impl Assembler {
    /// Nothing open yet.
    pub fn new(chain_id: ChainId, window: Window) -> Self {
        Self { chain_id, window, open: BTreeMap::new() }
    }

    /// Moves on to another height; what is below it is dropped.
    pub fn advance(&mut self, window: Window) {
        if window.height != self.window.height {
            self.open
                .values_mut()
                .for_each(|open| open.retain(|entry| entry.manifest.height >= window.height));
            self.open.retain(|_, open| !open.is_empty());
        }
        self.window = window;
    }

    /// Takes one part from a node of `from`. Returns the proposal when this part completes it.
    ///
    /// # Errors
    /// Why the part is refused. A repeated part is no error.
    pub fn accept(
        &mut self,
        from: &InstitutionId,
        part: &Bytes,
    ) -> Result<Option<CompleteProposal>, PartError> {
        let part = Part::decode(part)?;
        let Self { open, window, .. } = self;
        if let Some(entry) = find(open, &part.signed_manifest) {
            require_own_node(window, from, &entry.manifest)?;
            return entry.accept(&part);
        }
        // Its place comes before its signature: nobody has this node verify what it would refuse anyhow.
        let signed = SignedManifest::decode(&part.signed_manifest)?;
        self.check_position(&signed.manifest)?;
        require_own_node(&self.window, from, &signed.manifest)?;
        let manifest = signed.verify(self.chain_id)?;
        self.open(manifest, &part)?.accept(&part)
    }

    fn check_position(&self, manifest: &Manifest) -> Result<(), PartError> {
        let Window { height, round, validators } = &self.window;
        let present = if manifest.height == *height {
            *round
        } else if manifest.height == height.next() {
            0
        } else {
            return Err(PartError::Height { given: manifest.height, current: *height });
        };
        // A proposer has a turn in every few rounds to come: without a bound it could have all executed now.
        let near = present.saturating_sub(PROPOSAL_ROUNDS_BEHIND_MAX)
            ..=present.saturating_add(PROPOSAL_ROUNDS_AHEAD_MAX);
        if !near.contains(&manifest.round) {
            return Err(PartError::Round { given: manifest.round, current: present });
        }
        // The next height's turns are not known yet; it suffices that the signer is a validator now.
        let proposes = if manifest.height == *height {
            let turn = validators.proposer(EngineHeight::from(manifest.height), manifest.round);
            *turn.public_key() == manifest.proposer
        } else {
            validators.contains(&manifest.proposer)
        };
        if proposes {
            Ok(())
        } else {
            Err(PartError::Proposer { proposer: manifest.proposer, round: manifest.round })
        }
    }

    fn open(&mut self, manifest: Manifest, part: &Part) -> Result<&mut Open, PartError> {
        let entries = self.open.entry(manifest.proposer).or_default();
        let same_round = |entry: &&Open| {
            entry.manifest.height == manifest.height && entry.manifest.round == manifest.round
        };
        if entries.iter().filter(same_round).count() >= PROPOSALS_PER_ROUND_MAX {
            return Err(PartError::TooMany { proposer: manifest.proposer, round: manifest.round });
        }
        if entries.len() >= PROPOSALS_PER_PROPOSER_MAX {
            // The oldest is the least likely to be decided still.
            let oldest = (0..entries.len())
                .min_by_key(|index| (entries[*index].manifest.height, entries[*index].manifest.round))
                .unwrap_or(0);
            entries.remove(oldest);
        }
        let missing = manifest.chunk_hashes.len();
        entries.push(Open {
            signed_manifest: Bytes::copy_from_slice(&part.signed_manifest),
            manifest: Arc::new(manifest),
            chunks: vec![None; missing],
            missing,
        });
        Ok(entries.last_mut().expect("an entry was just pushed"))
    }
}

fn find<'o>(open: &'o mut BTreeMap<PublicKey, Vec<Open>>, signed_manifest: &Bytes) -> Option<&'o mut Open> {
    open.values_mut().flatten().find(|entry| entry.signed_manifest == *signed_manifest)
}

/// Nobody relays: a proposal comes from its proposer's own institution.
fn require_own_node(window: &Window, from: &InstitutionId, manifest: &Manifest) -> Result<(), PartError> {
    let proposer = manifest.proposer;
    let is_own = window.validators.get(&proposer).is_some_and(|validator| validator.institution() == from);
    if is_own { Ok(()) } else { Err(PartError::Relayed { proposer, from: from.clone() }) }
}

impl Open {
    fn accept(&mut self, part: &Part) -> Result<Option<CompleteProposal>, PartError> {
        if self.missing == 0 {
            return Ok(None);
        }
        let index = part.index;
        let slot = self.chunks.get_mut(index as usize).ok_or(PartError::Chunk { index })?;
        if slot.is_some() {
            return Ok(None);
        }
        if !self.manifest.names(index, &part.chunk) {
            return Err(PartError::Chunk { index });
        }
        *slot = Some(part.chunk.clone());
        self.missing -= 1;
        Ok((self.missing == 0).then(|| self.complete()))
    }

    fn complete(&mut self) -> CompleteProposal {
        let mut payload = BytesMut::with_capacity(self.manifest.payload_bytes as usize);
        for chunk in std::mem::take(&mut self.chunks).into_iter().flatten() {
            payload.extend_from_slice(&chunk);
        }
        CompleteProposal {
            manifest: Arc::clone(&self.manifest),
            payload: payload.freeze(),
            is_attested: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use yilian_spec::base::id::BlockId;
    use yilian_spec::base::limits::INTEGER_MAX;

    use super::*;
    use crate::consensus::proposal::{ProposalPosition, split};
    use crate::consensus::tests::window::{institution, key, window};
    use crate::network::limits::PART_CHUNK_BYTES;

    const CHAIN: ChainId = ChainId([3; 32]);

    fn parts(proposer: u8, height: u64, round: u32, fill: u8, length: usize) -> Vec<Bytes> {
        let payload = Bytes::from(vec![fill; length]);
        let position = ProposalPosition { height: Height(height), round, valid_round: None };
        split(CHAIN, &key(proposer), position, BlockId([fill; 32]), &payload)
    }

    /// An assembler that is given each part by its proposer's own node.
    struct Own(Assembler);

    impl Own {
        fn accept(&mut self, part: &Bytes) -> Result<Option<CompleteProposal>, PartError> {
            let signed =
                Part::decode(part).ok().and_then(|part| SignedManifest::decode(&part.signed_manifest).ok());
            let from = signed.and_then(|signed| {
                (0..10).find(|number| key(*number).public_key() == signed.manifest.proposer)
            });
            self.0.accept(&institution(from.unwrap_or(0)), part)
        }
    }

    /// At height 8 validator 0 proposes in round 0, validator 1 in round 1.
    fn assembler() -> Own {
        Own(Assembler::new(CHAIN, window(8, 0)))
    }

    #[test]
    fn only_the_proposers_own_nodes_are_heard_also_for_what_is_open() {
        let mut assembler = Assembler::new(CHAIN, window(8, 0));
        let parts = parts(0, 8, 0, 7, PART_CHUNK_BYTES + 1);
        let relayed = |refused| matches!(refused, Err(PartError::Relayed { .. }));
        assert!(relayed(assembler.accept(&institution(1), &parts[0])));
        assert_eq!(assembler.accept(&institution(0), &parts[0]), Ok(None));
        assert!(relayed(assembler.accept(&institution(1), &parts[1])));
        assert!(assembler.accept(&institution(0), &parts[1]).unwrap().is_some());
    }

    #[test]
    fn parts_in_any_order_and_repeated_give_the_payload_once() {
        let mut assembler = assembler();
        let parts = parts(0, 8, 0, 7, 2 * PART_CHUNK_BYTES + 100);
        assert_eq!(parts.len(), 3);
        assert_eq!(assembler.accept(&parts[2]), Ok(None));
        assert_eq!(assembler.accept(&parts[2]), Ok(None));
        assert_eq!(assembler.accept(&parts[0]), Ok(None));
        let complete = assembler.accept(&parts[1]).unwrap().unwrap();
        assert_eq!(complete.payload, vec![7; 2 * PART_CHUNK_BYTES + 100]);
        assert_eq!(complete.manifest.block_id, BlockId([7; 32]));
        assert_eq!(assembler.accept(&parts[1]), Ok(None), "complete is complete");
    }

    #[test]
    fn only_the_rounds_proposer_is_heard() {
        let mut assembler = assembler();
        let refused = assembler.accept(&parts(1, 8, 0, 1, 10)[0]);
        assert!(matches!(refused, Err(PartError::Proposer { round: 0, .. })));
        let stranger = assembler.accept(&parts(9, 9, 0, 1, 10)[0]);
        assert!(matches!(stranger, Err(PartError::Proposer { .. })));
        assert!(assembler.accept(&parts(1, 8, 1, 1, 10)[0]).unwrap().is_some());
        assert!(assembler.accept(&parts(2, 9, 0, 1, 10)[0]).unwrap().is_some(), "the next height is kept");
    }

    #[test]
    fn heights_outside_the_window_and_changed_bytes_are_refused() {
        let mut assembler = assembler();
        for height in [7, 10, INTEGER_MAX] {
            let refused = assembler.accept(&parts(0, height, 0, 1, 10)[0]);
            assert!(matches!(refused, Err(PartError::Height { .. })), "{height}");
        }
        let good = parts(0, 8, 0, 5, 10).remove(0);
        let mut changed_chunk = good.to_vec();
        *changed_chunk.last_mut().unwrap() ^= 1;
        assert_eq!(assembler.accept(&changed_chunk.into()), Err(PartError::Chunk { index: 0 }));
        let mut changed_manifest = good.to_vec();
        changed_manifest[20] ^= 1;
        assert!(assembler.accept(&changed_manifest.into()).is_err());
        for length in [0, 3, 4, 40, good.len() - 10] {
            let cut = assembler.accept(&good.slice(..length));
            assert!(matches!(cut, Err(PartError::Malformed { .. })), "{length}");
        }
        assert!(assembler.accept(&good).unwrap().is_some(), "and the true one still gets through");
    }

    /// Without a bound a proposer has the blocks of all its turns to come executed at once.
    #[test]
    fn rounds_far_from_the_one_under_way_are_refused() {
        let mut assembler = assembler();
        for round in [4, 8, 400] {
            let refused = assembler.accept(&parts(0, 8, round, 1, 10)[0]);
            assert_eq!(refused, Err(PartError::Round { given: round, current: 0 }));
        }
        let next = assembler.accept(&parts(0, 9, 3, 1, 10)[0]);
        assert_eq!(next, Err(PartError::Round { given: 3, current: 0 }), "also of the next height");
        assert!(assembler.accept(&parts(2, 8, 2, 1, 10)[0]).unwrap().is_some());
        assembler.0.advance(Window { round: 7, ..window(8, 0) });
        assert!(assembler.accept(&parts(0, 8, 8, 1, 10)[0]).unwrap().is_some(), "the window moves on");
        let late = assembler.accept(&parts(0, 8, 4, 1, 10)[0]);
        assert_eq!(late, Err(PartError::Round { given: 4, current: 7 }));
        assert!(assembler.accept(&parts(1, 8, 5, 1, 10)[0]).unwrap().is_some());
    }

    #[test]
    fn another_ledgers_signature_does_not_count() {
        let position = ProposalPosition { height: Height(8), round: 0, valid_round: None };
        let payload = Bytes::from_static(b"block");
        let foreign = split(ChainId([4; 32]), &key(0), position, BlockId([1; 32]), &payload);
        assert_eq!(assembler().accept(&foreign[0]), Err(PartError::Signature));
    }

    #[test]
    fn a_proposer_fills_only_its_own_bounded_slots() {
        let mut assembler = assembler();
        let large = PART_CHUNK_BYTES + 1;
        assert_eq!(assembler.accept(&parts(0, 8, 0, 1, large)[0]), Ok(None));
        assert_eq!(assembler.accept(&parts(0, 8, 0, 2, large)[0]), Ok(None));
        let third = assembler.accept(&parts(0, 8, 0, 3, large)[0]);
        assert!(matches!(third, Err(PartError::TooMany { .. })));
        for (round, fill) in [(0, 4), (1, 5), (2, 6), (1, 7), (2, 8)] {
            assert_eq!(assembler.accept(&parts(0, 9, round, fill, large)[0]), Ok(None));
        }
        assert_eq!(assembler.0.open[&key(0).public_key()].len(), PROPOSALS_PER_PROPOSER_MAX);
        assert!(assembler.accept(&parts(1, 8, 1, 1, 10)[0]).unwrap().is_some());
    }

    #[test]
    fn advancing_drops_what_is_below() {
        let mut assembler = assembler();
        let next = parts(2, 9, 1, 6, PART_CHUNK_BYTES + 1);
        assert_eq!(assembler.accept(&parts(0, 8, 0, 1, PART_CHUNK_BYTES + 1)[0]), Ok(None));
        assert_eq!(assembler.accept(&next[0]), Ok(None));
        assembler.0.advance(window(9, 0));
        assert_eq!(assembler.0.open.values().flatten().count(), 1);
        assert!(assembler.accept(&next[1]).unwrap().is_some());
    }
}
