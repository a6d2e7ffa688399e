//! After the blocks: the columns in which a row too many, too few or altered would show in no block.

use std::convert::Infallible;
use std::fmt;

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::Hash;
use yilian_spec::crypto::merkle::state_tree::{BucketId, StateTree, audit_row};

use super::concluding::Conclusion;
use super::executing::Executor;
use super::{FINDINGS_MAX, Finding};
use crate::storage::disk::Column;
use crate::storage::error::StorageError;
use crate::storage::tables::{Tables, height_key};

/// What one half of the work finds.
struct Comparison<'a> {
    tables: Tables<'a>,
    findings: Vec<Finding>,
}

/// Compares whole columns with what the blocks lead to; two threads share the work.
pub(super) fn compare<'a>(
    tables: impl Fn() -> Tables<'a> + Sync,
    conclusion: &mut Conclusion<'_>,
    executor: Executor,
) -> Result<(), StorageError> {
    if tables().tip()? != tip_row(conclusion) {
        conclusion.find("meta", "the tip is not the one that the blocks lead to");
    }
    let (height, state_root) = (conclusion.tip.height, conclusion.tip.state_root);
    let nodes = std::mem::take(&mut conclusion.log_nodes);
    let tables = &tables;
    let begin = || Comparison { tables: tables(), findings: Vec::new() };
    let (state, rest) = std::thread::scope(|scope| {
        let state = scope.spawn(|| {
            let mut comparison = begin();
            comparison.state_tree(state_root)?;
            comparison.rows(Column::LogNode, nodes.into_iter().map(|(key, hash)| (key, hash.to_vec())))?;
            comparison.blocks(height)?;
            Ok::<_, StorageError>(comparison.findings)
        });
        let mut comparison = begin();
        let compared = comparison.rows(Column::StateRow, executor.rows.into_iter()).and_then(|()| {
            let index = executor.locations.iter();
            let index = index.map(|(id, location)| (id.0.to_vec(), codec::encode(location)));
            comparison.rows(Column::TransactionIndex, index)
        });
        let state = state.join().expect("a panic of the comparison is a panic of the audit");
        (state, compared.map(|()| comparison.findings))
    });
    conclusion.findings.extend(rest?);
    conclusion.findings.extend(state?);
    conclusion.findings.truncate(FINDINGS_MAX);
    Ok(())
}

fn tip_row(conclusion: &Conclusion<'_>) -> crate::storage::tables::TipRow {
    let tip = &conclusion.tip;
    (tip.height, tip.block_id, tip.log.clone(), tip.state_root)
}

impl Comparison<'_> {
    fn find(&mut self, place: impl Into<String>, reason: impl fmt::Display) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { place: place.into(), reason: reason.to_string() });
        }
    }

    /// The columns of which blocks read single rows: every row must be readable, and there must not be more of them.
    fn blocks(&mut self, height: Height) -> Result<(), StorageError> {
        let after = height_key(height.next());
        for column in [Column::Header, Column::Certificate, Column::Transaction, Column::Receipt] {
            if self.tables.0.scan(column, &after).next().transpose()?.is_some() {
                self.find(column.name(), "there are rows of blocks behind the tip");
            }
        }
        let blocks = height.0;
        for (column, wanted) in [(Column::Meta, 3), (Column::BlockIndex, blocks), (Column::Header, blocks)] {
            let mut rows = 0;
            for row in self.tables.0.scan(column, &[]) {
                rows += row.map(|_| 1)?;
            }
            if rows != wanted {
                self.find(column.name(), format!("there are {rows} rows, there must be {wanted}"));
            }
        }
        // Those above the tip are read for being readable.
        let keys = self.tables.undecided_keys(Height(0)..=Height(u64::MAX))?;
        let next = height_key(height.next());
        for key in keys.into_iter().filter(|key| *key < next) {
            self.find(format!("undecided {}", hex::encode(key)), "its height is decided");
        }
        self.tables.undecided(height.next(), None).map(drop)
    }

    /// Compares a column with the rows that must stand in it, both in the order of their keys.
    fn rows(
        &mut self,
        column: Column,
        expected: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StorageError> {
        let tables = self.tables;
        let mut stored = tables.0.scan(column, &[]).peekable();
        let mut expected = expected.peekable();
        loop {
            let next = match stored.next_if(Result::is_err) {
                Some(error) => return error.map(drop),
                None => stored.peek().and_then(|row| row.as_ref().ok()),
            };
            let (key, reason) = match (next, expected.peek()) {
                (None, None) => return Ok(()),
                (Some((key, _)), Some((wanted, _))) if **key == **wanted => {
                    let differs =
                        next.map(|(_, value)| &**value) != expected.peek().map(|(_, value)| &**value);
                    let key = key.to_vec();
                    stored.next();
                    expected.next();
                    if !differs {
                        continue;
                    }
                    (key, "the row is not the one that the blocks lead to")
                }
                (Some((key, _)), wanted) if wanted.is_none_or(|(wanted, _)| **key < **wanted) => {
                    let key = key.to_vec();
                    stored.next();
                    (key, "the row should not be there")
                }
                (_, Some((wanted, _))) => {
                    let key = wanted.clone();
                    expected.next();
                    (key, "the row is missing")
                }
                // A stored row that is not below the wanted one has been handled above when none is wanted.
                (Some(_), None) => return Ok(()),
            };
            self.find(format!("{} {}", column.name(), hex::encode(key)), reason);
        }
    }

    /// How leaves are grouped into buckets depends on history, so the stored rows are checked one by one and for the
    /// root they lead to.
    fn state_tree(&mut self, state_root: Hash) -> Result<(), StorageError> {
        let mut rows = Vec::new();
        for row in self.tables.0.scan(Column::StateBucket, &[]) {
            let (key, value) = row?;
            let place = || format!("state_bucket {}", hex::encode(&key));
            match BucketId::from_bytes(&key).map(|id| (id, audit_row(id, &value))) {
                None => self.find(place(), "the key is not that of a bucket"),
                Some((_, Err(error))) => self.find(place(), error),
                Some((id, Ok(()))) => rows.push((id, value.into_vec())),
            }
        }
        match StateTree::open(rows.into_iter().map(Ok::<_, Infallible>)) {
            Err(error) => self.find("state_bucket", error),
            Ok(tree) if Hash(tree.root()) != state_root => {
                self.find("state_bucket", "the buckets do not lead to the state root of the tip");
            }
            Ok(_) => {}
        }
        Ok(())
    }
}
