//! A member that floods the mempools of the others: garbage, transactions with forged signatures, of another ledger,
//! expired or not yet made, and good ones again and again.

use bytes::Bytes;
use yilian_spec::base::codec;
use yilian_spec::base::id::ChainId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::ledger::transaction::Transaction;

use super::super::consortium;
use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::Liar;
use crate::simulator::liars::forge::spoil;

/// Transactions of a batch.
const BATCH: usize = 12;

pub struct MempoolSpam {
    random: Random,
}

impl MempoolSpam {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    fn forge(&mut self, mut transaction: Transaction) -> Transaction {
        match self.random.below(4) {
            0 => spoil(&mut transaction.signature, self.random.position(64)),
            1 => transaction.body.chain_id = ChainId(self.random.bytes()),
            2 => transaction.body.expires = LedgerTime(1),
            _ => transaction.body.operations.clear(),
        }
        transaction
    }
}

fn batch(transactions: &[Transaction]) -> Frame {
    let encoded: Vec<Vec<u8>> = transactions.iter().map(codec::encode).collect();
    let mut bytes = Vec::new();
    codec::append_list(&mut bytes, encoded.iter().map(Vec::as_slice));
    Frame::Transactions(bytes.into())
}

impl Liar for MempoolSpam {
    fn unasked(&mut self, host: &mut Host) -> Vec<Frame> {
        let good = consortium::transactions(host.chain_id, BATCH, &mut Random::new(7));
        let forged: Vec<Transaction> = good.into_iter().map(|one| self.forge(one)).collect();
        let mut too_many = batch(&forged);
        if let Frame::Transactions(bytes) = &mut too_many {
            let mut claimed = bytes.to_vec();
            claimed[..8].copy_from_slice(&u64::MAX.to_le_bytes());
            *bytes = claimed.into();
        }
        let garbage = Frame::Transactions(Bytes::copy_from_slice(&self.random.bytes()));
        vec![garbage, batch(&forged), batch(&forged), too_many]
    }

    /// What it gossips, it gossips five times.
    fn say(&mut self, _host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        let times = if matches!(frame, Frame::Transactions(_)) { 5 } else { 1 };
        vec![frame.clone(); times]
    }
}
