//! Rows in memory: a sorted map for each column. A copy shares what is not changed afterwards.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use yilian_node::storage::disk::{Column, Pair, ReadBytes};
use yilian_node::storage::error::StorageError;

/// A row's bytes; copies share them.
pub type Row = Arc<[u8]>;
/// A row to write, or to delete.
pub type Write = (Column, Vec<u8>, Option<Row>);

type Rows = Arc<BTreeMap<Vec<u8>, Row>>;

/// All columns.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<Column, Rows>);

impl Memory {
    /// The row under a key.
    pub fn row(&self, column: Column, key: &[u8]) -> Option<Row> {
        self.0.get(&column)?.get(key).cloned()
    }

    /// The place of some row; `None` when there is none.
    pub fn place(&self, position: u64) -> Option<(Column, Vec<u8>)> {
        let places = || self.0.iter().flat_map(|(column, rows)| rows.keys().map(|key| (*column, key)));
        let count = places().count() as u64;
        // Below a usize, so it fits.
        let (column, key) = places().nth(position.checked_rem(count)? as usize)?;
        Some((column, key.clone()))
    }

    /// Takes over writes, in their order.
    pub fn apply(&mut self, writes: Vec<Write>) {
        for (column, key, row) in writes {
            let rows = Arc::make_mut(self.0.entry(column).or_default());
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
    }

    /// The rows of a column from a key on, as they are now.
    pub fn rows_from(
        &self,
        column: Column,
        start: &[u8],
    ) -> impl Iterator<Item = Result<Pair, StorageError>> + use<> {
        let rows = self.0.get(&column).cloned().unwrap_or_default();
        let mut from = Bound::Included(start.to_vec());
        std::iter::from_fn(move || {
            let (key, row) = rows.range((from.clone(), Bound::Unbounded)).next()?;
            from = Bound::Excluded(key.clone());
            Some(Ok((key.clone().into(), (**row).into())))
        })
    }

    /// Bytes of all keys and rows.
    pub fn bytes(&self) -> u64 {
        let of = |rows: &Rows| rows.iter().map(|(key, row)| (key.len() + row.len()) as u64).sum::<u64>();
        self.0.values().map(of).sum()
    }
}

impl ReadBytes for Memory {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.row(column, key).map(|row| row.to_vec()))
    }

    fn with(
        &self,
        column: Column,
        key: &[u8],
        read: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), StorageError> {
        read(self.row(column, key).as_deref());
        Ok(())
    }

    fn scan<'a>(
        &'a self,
        column: Column,
        start: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StorageError>> + 'a> {
        Box::new(self.rows_from(column, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: u8, value: u8) -> Write {
        (Column::Receipt, vec![key], Some(Row::from([value])))
    }

    #[test]
    fn a_copy_stays_as_it_was_and_rows_come_in_the_order_of_their_keys() {
        let mut memory = Memory::default();
        memory.apply(vec![put(3, 30), put(1, 10), put(2, 20)]);
        let before = memory.clone();
        memory.apply(vec![(Column::Receipt, vec![2], None), put(3, 31), put(4, 40)]);
        let values = |memory: &Memory, start: u8| -> Vec<u8> {
            memory.scan(Column::Receipt, &[start]).map(|row| row.unwrap().1[0]).collect()
        };
        assert_eq!(values(&before, 0), [10, 20, 30]);
        assert_eq!(values(&before, 2), [20, 30]);
        assert_eq!(values(&memory, 2), [31, 40]);
        assert_eq!(memory.get(Column::Header, &[3]).unwrap(), None);
        assert_eq!((before.bytes(), memory.bytes()), (6, 6));
    }
}
