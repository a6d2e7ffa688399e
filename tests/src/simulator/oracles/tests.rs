//! The oracles against ledgers that are right, and against disks and blocks that are wrong in one place each.

use yilian_node::application::reader::StoredBlock;
use yilian_node::storage::disk::Column;
use yilian_spec::base::codec;
use yilian_spec::base::limits::PROOF_BYTES_MAX;
use yilian_spec::domain::agreement::PeriodStatement;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::service::{CountedIn, Service};
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::settlement::statement::{Line, LineKind, Statement};
use yilian_spec::state::key::{StateKey, StreamId};

use super::rows::{
    self, ACCUMULATOR, CAPACITY, CLOSED_PERIOD, EVIDENCE, SERVICE, SETTLED, STATEMENT, STREAM_ENTRY,
    STREAM_HEAD,
};
use super::{Finding, Happened, Oracles, Rows};
use crate::simulator::maker::Maker;
use crate::simulator::memory::{Memory, Row};
use crate::simulator::random::Random;

/// Makes the ledger of a seed: its transactions a little out of order, in blocks of one to six.
fn ledger(seed: u64) -> Maker {
    let mut maker = Maker::new();
    let mut random = Random::stream(seed, 77);
    let mut placed: Vec<(u64, Transaction)> = (0..)
        .zip(maker.some_transactions(40, seed))
        .map(|(place, transaction)| (place + random.below(6), transaction))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    let transactions: Vec<Transaction> = placed.into_iter().map(|(_, transaction)| transaction).collect();
    let (mut rest, mut after_ms) = (&transactions[..], 0);
    while !rest.is_empty() {
        let (block, later) = rest.split_at(rest.len().min(random.position(6) + 1));
        after_ms += random.between(1, 3_000);
        maker.block_at(block, after_ms, false);
        rest = later;
    }
    maker
}

fn told(maker: &Maker) -> Oracles {
    let mut oracles = Oracles::new(&maker.genesis);
    maker.blocks.iter().try_for_each(|block| oracles.block(block)).unwrap();
    oracles
}

/// A ledger on which several statements have amounts, one of them by the split of a whole period, a statement settles what
/// changed in an earlier period, and an open period has counted something.
fn rich_ledger() -> Maker {
    let is_rich = |maker: &Maker| {
        let statements = statements(&maker.disk);
        told(maker).happened().statements_with_amounts >= 3
            && !rows_of(&maker.disk, ACCUMULATOR).is_empty()
            && !rows_of(&maker.disk, CAPACITY).is_empty()
            && statements.iter().any(|one| splits(&one.statement))
            && statements.iter().any(|one| adjusts(&one.statement))
    };
    (0..).map(ledger).find(is_rich).unwrap()
}

fn statements(disk: &Memory) -> Vec<PeriodStatement> {
    let rows = rows_of(disk, STATEMENT);
    rows.iter().map(|(_, row)| codec::decode(row, PROOF_BYTES_MAX).unwrap()).collect()
}

fn is_adjustment(line: &Line) -> bool {
    matches!(line.kind, LineKind::Adjustment { .. })
}

fn adjusts(statement: &Statement) -> bool {
    statement.lines.iter().any(|line| is_adjustment(line) && line.share.amount_minor.0 != 0)
}

fn splits(statement: &Statement) -> bool {
    !statement.figures.is_empty() && statement.services.values().any(|one| one.delivered.gross_minor.0 > 0)
}

fn rows_of(disk: &Memory, tag: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    Rows(disk).all(tag).unwrap().into_iter().collect()
}

fn with_row(disk: &Memory, key: &[u8], row: Option<&[u8]>) -> Memory {
    let mut disk = disk.clone();
    disk.apply(vec![(Column::StateRow, key.to_vec(), row.map(Row::from))]);
    disk
}

#[test]
fn right_ledgers_pass_and_much_happens_on_them() {
    let mut happened = Happened::default();
    for seed in 0..100 {
        let maker = ledger(seed);
        let mut oracles = Oracles::new(&maker.genesis);
        for block in &maker.blocks {
            oracles.block(block).unwrap_or_else(|finding| panic!("seed {seed}: {finding}"));
        }
        for check in [oracles.check_all(&maker.disk), oracles.check_touched(&maker.disk)] {
            check.unwrap_or_else(|finding| panic!("seed {seed}: {finding}"));
        }
        happened.add(&oracles.happened());
    }
    println!("{happened:#?}");
    assert_eq!(happened.applied.len(), 26, "every operation takes effect somewhere");
    assert!(happened.statements_with_amounts > 100 && happened.late_reversals > 20);
}

#[test]
fn block_after_block_a_right_disk_passes() {
    let maker = rich_ledger();
    let mut oracles = Oracles::new(&maker.genesis);
    let mut again = Maker::new();
    for block in &maker.blocks {
        let after_ms = block.header.time.0 - crate::simulator::consortium::START_MS;
        again.block_at(&block.transactions, after_ms, false);
        oracles.block(block).unwrap();
        oracles.check_touched(&again.disk).unwrap();
        oracles.check_all(&again.disk).unwrap();
    }
}

#[test]
fn every_row_that_is_missing_or_altered_is_found() {
    let maker = rich_ledger();
    let oracles = told(&maker);
    oracles.check_all(&maker.disk).unwrap();
    let kinds = [
        STREAM_HEAD,
        STREAM_ENTRY,
        CAPACITY,
        CLOSED_PERIOD,
        SERVICE,
        EVIDENCE,
        ACCUMULATOR,
        STATEMENT,
        SETTLED,
    ];
    for kind in kinds {
        let rows = rows_of(&maker.disk, kind);
        assert!(!rows.is_empty(), "the ledger has rows of kind {kind:#x}");
        for (key, row) in rows {
            assert!(oracles.check_all(&with_row(&maker.disk, &key, None)).is_err());
            for at in [0, row.len() / 2, row.len() - 1] {
                let mut altered = row.clone();
                altered[at] ^= 1;
                assert!(oracles.check_all(&with_row(&maker.disk, &key, Some(&altered))).is_err());
            }
        }
    }
}

#[test]
fn entries_left_out_and_entries_added_are_found() {
    let maker = rich_ledger();
    let oracles = told(&maker);
    for (key, row) in rows_of(&maker.disk, STREAM_HEAD) {
        let stream = StreamId::of_head_key(&key).unwrap();
        let name = stream.to_string();
        let (length, _): (u64, Vec<[u8; 32]>) = rows::read(&key, &row).unwrap();
        let entry = |index| StateKey::StreamEntry(stream.clone(), index).bytes();
        let leaf = |index| super::merkle::leaf(&Rows(&maker.disk).get_bytes(&entry(index)).unwrap().unwrap());
        // The last entry is gone, and the head agrees with that.
        let leaves: Vec<[u8; 32]> = (0..length - 1).map(leaf).collect();
        let mut shorter = with_row(&maker.disk, &entry(length - 1), None);
        shorter = with_row(&shorter, &key, Some(&super::merkle::head(&leaves)));
        let missing = Finding::EntryMissing { stream: name.clone(), index: length - 1 };
        assert_eq!(oracles.check_all(&shorter), Err(missing.clone()));
        assert_eq!(told(&maker).check_touched(&shorter), Err(missing));
        // The first one stands there once more at the end, and the head agrees.
        let again = Rows(&maker.disk).get_bytes(&entry(0)).unwrap().unwrap();
        let leaves: Vec<[u8; 32]> = (0..length).chain([0]).map(leaf).collect();
        let mut longer = with_row(&maker.disk, &entry(length), Some(&again));
        longer = with_row(&longer, &key, Some(&super::merkle::head(&leaves)));
        assert!(oracles.check_all(&longer).is_err());
        let added = Finding::EntryAdded { stream: name, index: length };
        assert_eq!(told(&maker).check_touched(&longer), Err(added.clone()));
        assert_eq!(oracles.check_all(&with_row(&maker.disk, &entry(length), Some(&again))), Err(added));
    }
    let stream = StreamId::Subject(yilian_spec::base::id::SubjectTag([9; 32]));
    let head = StateKey::StreamHead(stream.clone()).bytes();
    let added = with_row(&maker.disk, &head, Some(&super::merkle::head(&[])));
    assert_eq!(oracles.check_all(&added), Err(Finding::HeadAdded { stream: stream.to_string() }));
}

/// The disk with a changed statement.
fn with_statement(disk: &Memory, number: usize, change: impl FnOnce(&mut PeriodStatement)) -> Memory {
    let (key, row) = rows_of(disk, STATEMENT).swap_remove(number);
    let mut statement: PeriodStatement = codec::decode(&row, PROOF_BYTES_MAX).unwrap();
    change(&mut statement);
    with_row(disk, &key, Some(&codec::encode(&statement)))
}

#[test]
fn an_amount_that_is_one_fen_off_is_found() {
    let maker = rich_ledger();
    let oracles = told(&maker);
    for number in 0..rows_of(&maker.disk, STATEMENT).len() {
        let more = with_statement(&maker.disk, number, |statement| {
            statement.statement.lines[0].share.amount_minor.0 += 1;
        });
        assert!(matches!(oracles.check_all(&more), Err(Finding::Unbalanced { .. })));
        // From one party to another: the sum is right.
        let moved = with_statement(&maker.disk, number, |statement| {
            statement.statement.lines[0].share.amount_minor.0 += 1;
            statement.statement.lines[1].share.amount_minor.0 -= 1;
        });
        assert!(matches!(oracles.check_all(&moved), Err(Finding::ClosedPeriodChanged { .. })));
        assert!(matches!(told(&maker).check_touched(&moved), Err(Finding::ClosedPeriodChanged { .. })));
    }
}

#[test]
fn an_adjustment_that_is_left_out_or_off_is_found() {
    let maker = rich_ledger();
    let oracles = told(&maker);
    let mut adjusted = 0;
    for (number, statement) in statements(&maker.disk).iter().enumerate() {
        if adjusts(&statement.statement) {
            adjusted += 1;
            let without = with_statement(&maker.disk, number, |statement| {
                statement.statement.lines.retain(|line| !is_adjustment(line));
            });
            let found = oracles.check_all(&without);
            assert!(matches!(found, Err(Finding::NotConserved { .. })), "{found:?}");
        }
    }
    assert!(adjusted > 0, "a statement has an adjustment");
}

#[test]
fn a_service_that_is_settled_twice_is_found() {
    let maker = rich_ledger();
    let oracles = told(&maker);
    // A statement that balances in itself, with one service more than its period has counted.
    let number = statements(&maker.disk).iter().position(|one| splits(&one.statement)).unwrap();
    let twice = with_statement(&maker.disk, number, |statement| {
        let volume = statement.statement.services.values_mut().next().unwrap();
        volume.delivered.count += 1;
        volume.delivered.gross_minor.0 += 500;
        statement.statement.lines[0].share.amount_minor.0 += 500;
    });
    assert!(matches!(oracles.check_all(&twice), Err(Finding::NotConserved { .. })));
    let services = rows_of(&maker.disk, SERVICE);
    let counted = services.iter().find_map(|(key, row)| {
        let service: Service = codec::decode(row, PROOF_BYTES_MAX).unwrap();
        (!service.counted_in.is_empty()).then_some((key, service))
    });
    let (key, mut service) = counted.unwrap();
    let CountedIn { agreement, period } = service.counted_in[0];
    service.counted_in.push(CountedIn { agreement, period: period + 1 });
    let twice = with_row(&maker.disk, key, Some(&codec::encode(&service)));
    assert!(matches!(oracles.check_all(&twice), Err(Finding::CountedTwice { .. })));
}

/// The blocks with one receipt changed.
fn with_outcome(blocks: &[StoredBlock], from: impl Fn(Outcome) -> bool, to: Outcome) -> Vec<StoredBlock> {
    let mut blocks = blocks.to_vec();
    let mut receipts = blocks.iter_mut().flat_map(|block| &mut block.receipts);
    receipts.find(|receipt| from(receipt.outcome)).unwrap().outcome = to;
    blocks
}

#[test]
fn what_must_not_take_effect_and_what_is_refused_without_reason_are_found() {
    let maker = rich_ledger();
    let found = |blocks: &[StoredBlock]| {
        let mut oracles = Oracles::new(&maker.genesis);
        blocks.iter().try_for_each(|block| oracles.block(block))
    };
    assert_eq!(found(&maker.blocks), Ok(()));
    let refused = Outcome::Refused { operation: 0, reason: Refusal::NoSuchGrant };
    let blocks = with_outcome(&maker.blocks, |outcome| outcome == Outcome::Applied, refused);
    assert!(matches!(found(&blocks), Err(Finding::Invalid { became: "was refused", .. })));
    let blocks = with_outcome(&maker.blocks, |outcome| outcome != Outcome::Applied, Outcome::Applied);
    assert!(matches!(found(&blocks), Err(Finding::Invalid { became: "took effect", .. })));
    let mut swapped = maker.blocks.clone();
    let block = swapped.iter_mut().find(|block| block.receipts.len() > 1).unwrap();
    block.receipts.swap(0, 1);
    let height = block.header.height;
    assert_eq!(found(&swapped), Err(Finding::Receipts { height }));
}
