//! A small real ledger: blocks of opaque items in memory that outlives the node, as a disk would.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use sha2::{Digest, Sha256};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::BlockId;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::parameters::ConsensusTimeouts;
use yilian_spec::ledger::block::CommitCertificate;

use crate::application::{
    Application, ApplicationError, Arrival, BuiltBlock, Candidate, DecidedBlock, DecidedBlocks, StartPoint,
    UndecidedBlock, ValidatorInfo, Verdict,
};
use crate::storage::StorageError;

/// Most items of a block.
pub const ITEMS_PER_BLOCK: usize = 1_000;

/// What survives a restart, and the queue of items that stands for a mempool.
#[derive(Default)]
pub struct Disk {
    pub decided: Vec<DecidedBlock>,
    pub undecided: Vec<UndecidedBlock>,
    pub queue: VecDeque<Vec<u8>>,
    pub commits_fail: bool,
    /// Whether reading decided blocks waits until it is let go.
    pub reads_hang: bool,
    /// Reads that wait so.
    pub reads_waiting: usize,
}

/// A handle on one node's disk.
#[derive(Clone, Default)]
pub struct SharedDisk(Arc<(Mutex<Disk>, Condvar)>);

impl SharedDisk {
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.0.lock().unwrap()
    }

    /// Makes reading decided blocks wait, or lets those go that do.
    pub fn hang_reads(&self, hang: bool) {
        self.lock().reads_hang = hang;
        self.0.1.notify_all();
    }
}

/// A block's fields: height, previous id, proposer, items.
pub struct Fields {
    height: u64,
    previous: [u8; 32],
    proposer: [u8; 32],
    pub items: Vec<Vec<u8>>,
}

impl Fields {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.height.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&self.proposer);
        for item in &self.items {
            bytes.extend_from_slice(&u32::try_from(item.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(item);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let height = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
        let previous = bytes.get(8..40)?.try_into().ok()?;
        let proposer = bytes.get(40..72)?.try_into().ok()?;
        let mut rest = &bytes[72..];
        let mut items = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
            items.push(rest.get(4..4 + length)?.to_vec());
            rest = &rest[4 + length..];
        }
        Some(Self { height, previous, proposer, items })
    }
}

fn id_of(bytes: &[u8]) -> BlockId {
    BlockId(Sha256::digest(bytes).into())
}

/// Whether these are the bytes of a block.
pub fn is_block(block_id: BlockId, bytes: &[u8]) -> bool {
    id_of(bytes) == block_id
}

/// The application of the tests.
pub struct TestLedger {
    pub disk: SharedDisk,
    pub key: Option<PublicKey>,
    pub validators: Vec<PublicKey>,
}

impl TestLedger {
    fn tip(disk: &Disk) -> (Height, [u8; 32]) {
        let last = disk.decided.last().map(|block| &block.certificate);
        last.map_or((Height(0), [0; 32]), |last| (last.height, last.block_id.0))
    }
}

impl DecidedBlocks for SharedDisk {
    fn decided(
        &self,
        heights: RangeInclusive<Height>,
        bytes_max: usize,
    ) -> Result<Vec<DecidedBlock>, ApplicationError> {
        let mut disk = self.lock();
        disk.reads_waiting += 1;
        while disk.reads_hang {
            disk = self.0.1.wait(disk).unwrap();
        }
        disk.reads_waiting -= 1;
        let mut bytes = 0;
        let wanted = disk.decided.iter().filter(|block| heights.contains(&block.certificate.height));
        let fitting = wanted.take_while(|block| {
            bytes += block.bytes.len();
            bytes <= bytes_max
        });
        Ok(fitting.cloned().collect())
    }

    fn lowest_height(&self) -> Result<Height, ApplicationError> {
        Ok(Height::FIRST)
    }
}

impl Application for TestLedger {
    type Blocks = SharedDisk;

    fn blocks(&self) -> SharedDisk {
        self.disk.clone()
    }

    fn start(&mut self) -> Result<StartPoint, ApplicationError> {
        let validator = |(number, key): (usize, &PublicKey)| ValidatorInfo {
            public_key: *key,
            institution: super::cluster::institution_of(number),
            voting_power: 1,
        };
        let last = self.disk.lock().decided.last().map(|block| Fields::decode(&block.bytes).unwrap());
        Ok(StartPoint {
            height: Self::tip(&self.disk.lock()).0.next(),
            validators: self.validators.iter().enumerate().map(validator).collect(),
            rotation: vec![],
            timeouts: ConsensusTimeouts {
                propose_ms: 800,
                propose_min_ms: 800,
                prevote_ms: 200,
                precommit_ms: 200,
                delta_ms: 200,
                rebroadcast_ms: 800,
                bound_ms: 5_000,
            },
            target_time_ms: None,
            had_work: last.is_some_and(|last| !last.items.is_empty()),
        })
    }

    fn build(&mut self, height: Height, _round: u32, now_ms: u64) -> Result<BuiltBlock, ApplicationError> {
        assert!(now_ms > 1_700_000_000_000, "the driver hands in the time of day");
        let disk = self.disk.lock();
        let (tip, previous) = Self::tip(&disk);
        assert_eq!(height, tip.next());
        let proposer = *self.key.expect("only validators build").ed25519_bytes();
        let mut items: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        for item in &disk.queue {
            bytes += item.len();
            if bytes > 3_500_000 || items.len() == ITEMS_PER_BLOCK {
                break;
            }
            items.push(item.clone());
        }
        let bytes = Fields { height: height.0, previous, proposer, items }.encode();
        Ok(BuiltBlock { block_id: id_of(&bytes), bytes })
    }

    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, ApplicationError> {
        let disk = self.disk.lock();
        let (tip, previous) = Self::tip(&disk);
        assert_eq!(candidate.height, tip.next(), "the driver asks about the next height only");
        let Some(fields) = Fields::decode(candidate.bytes) else {
            return Ok(Verdict::Invalid { block_id: None, reason: "not a block".to_owned() });
        };
        let block_id = id_of(candidate.bytes);
        let fresh = matches!(candidate.arrival, Arrival::Proposed { .. }) && candidate.valid_round.is_none();
        let wrong_proposer = fresh && fields.proposer != *candidate.proposer.ed25519_bytes();
        if fields.height != candidate.height.0 || fields.previous != previous || wrong_proposer {
            let reason = "wrong height, parent or proposer".to_owned();
            return Ok(Verdict::Invalid { block_id: Some(block_id), reason });
        }
        Ok(Verdict::Valid { block_id })
    }

    fn remember(&mut self, block: UndecidedBlock) -> Result<(), ApplicationError> {
        let mut disk = self.disk.lock();
        if !disk.undecided.contains(&block) {
            disk.undecided.push(block);
        }
        Ok(())
    }

    fn undecided(
        &mut self,
        height: Height,
        round: Option<u32>,
    ) -> Result<Vec<UndecidedBlock>, ApplicationError> {
        let disk = self.disk.lock();
        let wanted = |block: &&UndecidedBlock| {
            block.height == height && round.is_none_or(|round| block.round == round)
        };
        Ok(disk.undecided.iter().filter(wanted).cloned().collect())
    }

    fn commit(&mut self, certificate: &CommitCertificate) -> Result<(), ApplicationError> {
        let mut disk = self.disk.lock();
        if disk.commits_fail {
            let action = "writing a block";
            let source = StorageError::Disk { action, source: std::io::ErrorKind::StorageFull.into() };
            return Err(ApplicationError::Storage { action, source });
        }
        assert_eq!(certificate.height, Self::tip(&disk).0.next());
        let found = disk.undecided.iter().find(|block| block.block_id == certificate.block_id);
        let bytes = found.expect("what is decided was remembered").bytes.clone();
        let items: BTreeSet<Vec<u8>> = Fields::decode(&bytes).unwrap().items.into_iter().collect();
        disk.queue.retain(|item| !items.contains(item));
        disk.undecided.retain(|block| block.height > certificate.height);
        disk.decided.push(DecidedBlock { certificate: certificate.clone(), bytes });
        Ok(())
    }

    fn has_work(&mut self) -> bool {
        !self.disk.lock().queue.is_empty()
    }
}
