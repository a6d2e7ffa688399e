//! Storage against real files: reopening, crashes, damage, other chains, backups, and an audit that finds them.

use std::fs;
use std::path::{Path, PathBuf};

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::state::key::StateKey;

use super::audit::{self, Report};
use super::database::Database;
use super::disk::{Batch, Column, Disk as _, ReadBytes};
use super::store::FORMAT_VERSION;
use super::tables::{FORMAT_KEY, GENESIS_KEY, Tables, location_key};
use super::{Damage, StorageError, StorageOptions, Store, backup};
use crate::application::{Application, ApplicationError};
use crate::test_world::{TestNode, certificate, genesis, member, temporary, transaction};

fn audited(dir: &Path) -> Report {
    audit::check(dir, |_, _| {}).unwrap()
}

/// Changes a closed ledger's rows behind its back.
fn tamper(dir: &Path, change: impl FnOnce(&Database, &mut Batch<'_>)) {
    let disk = Database::open(dir, false, StorageOptions::default()).unwrap();
    let mut batch = disk.batch();
    change(&disk, &mut batch);
    batch.write_synced().unwrap();
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

#[test]
fn a_reopened_ledger_is_the_same_and_passes_the_audit() {
    let dir = temporary();
    let tip = {
        let mut node = TestNode::open(dir.path(), 0);
        node.blocks(5);
        node.ledger.tip().clone()
    };
    let node = TestNode::open(dir.path(), 0);
    assert_eq!(*node.ledger.tip(), tip);
    assert_eq!(tip.height, Height(5));
    drop(node);
    let mut seen = Vec::new();
    let report = audit::check(dir.path(), |height, last| seen.push((height.0, last.0))).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.block_id, report.state_root), (tip.block_id, tip.state_root));
    assert_eq!(report.transactions, 60);
    assert_eq!(seen, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
}

#[test]
fn the_audit_reads_a_ledger_that_a_node_holds_open() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(2);
    let report = audited(dir.path());
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.block_id, node.ledger.tip().block_id);
}

#[test]
fn a_crash_between_remembering_and_committing_loses_nothing() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(1);
    node.submit([transaction(1, 77)]);
    let built = node.propose();
    drop(node);

    let mut node = TestNode::open(dir.path(), 0);
    assert_eq!(node.ledger.tip().height, Height(1));
    assert_eq!(node.ledger.undecided(Height(2), None).unwrap()[0].bytes, built.bytes);
    assert_eq!(node.ledger.build(Height(2), 0, 0).unwrap(), built, "another block would be equivocation");
    node.decide(built.block_id);
    assert_eq!(node.ledger.tip().block_id, built.block_id);
    assert_eq!(node.ledger.undecided(Height(2), None).unwrap(), [], "forgotten with the commit");
    drop(node);
    assert!(audited(dir.path()).is_clean());
}

#[test]
fn a_decided_block_that_was_never_here_is_named() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    let absent = yilian_spec::base::id::BlockId([9; 32]);
    let error = node.ledger.commit(&certificate(Height(1), absent)).unwrap_err();
    assert!(matches!(error, ApplicationError::PayloadMissing { height: Height(1), .. }), "{error}");
    assert_eq!(node.ledger.tip().height, Height(0));
}

#[test]
fn a_log_cut_off_by_a_power_cut_gives_the_block_before() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(2);
    let before = node.ledger.tip().clone();
    node.blocks(1);
    drop(node);
    let log = files(dir.path(), ".log").pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 10]).unwrap();

    let node = TestNode::open(dir.path(), 0);
    // The last record held the commit: without its end nothing of it counts, as if it had never been written.
    assert_eq!(*node.ledger.tip(), before);
    drop(node);
    assert!(audited(dir.path()).is_clean());
}

#[test]
fn damage_inside_the_log_is_an_error_and_not_a_shorter_ledger() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(4);
    drop(node);
    let log = files(dir.path(), ".log").pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let error = Store::open(dir.path(), StorageOptions::default()).err().unwrap();
    assert!(matches!(error, StorageError::Damage(Damage::File { action: "opening it", .. })), "{error}");
}

#[test]
fn a_damaged_table_file_is_found() {
    let dir = temporary();
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(3);
    drop(node);
    // Opening sorts the log into table files.
    drop(TestNode::open(dir.path(), 0));
    // Undecided blocks are this node's own business; everything else is audited.
    let audited_files = files_of(dir.path(), |column| column != Column::Undecided.name());
    assert!(audited_files.len() >= Column::ALL.len() - 1, "{audited_files:?}");
    for file in audited_files {
        let intact = fs::read(&file).unwrap();
        let mut bytes = intact.clone();
        bytes[10] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let said = match audit::check(dir.path(), |_, _| {}) {
            Ok(report) => report.findings.first().map(ToString::to_string),
            Err(StorageError::Damage(damage)) => Some(damage.to_string()),
            Err(error) => panic!("{error}"),
        };
        let said = said.unwrap_or_else(|| panic!("{} was damaged and nothing noticed", file.display()));
        let is_plain = said.contains("the checksum of the ") && !said.contains("removed");
        assert!(is_plain && !said.contains("yilian-node repair"), "{said}");
        fs::write(&file, &intact).unwrap();
    }
    assert!(audited(dir.path()).is_clean());
}

/// The table files of some columns.
fn files_of(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let disk = Database::open_read_only(dir, StorageOptions::default()).unwrap();
    let live = disk.rocksdb().live_files().unwrap();
    let live =
        live.iter().filter(|file| wanted(&file.column_family_name) && file.column_family_name != "default");
    live.map(|file| dir.join(file.name.trim_start_matches('/'))).collect()
}

/// Alters the last byte of the row under `key`.
fn flip(dir: &Path, column: Column, key: &[u8]) {
    tamper(dir, |disk, batch| {
        let mut row = disk.get(column, key).unwrap().unwrap();
        *row.last_mut().unwrap() ^= 1;
        batch.put(column, key, row);
    });
}

#[test]
fn the_audit_finds_a_flipped_byte_in_every_column() {
    let height = |height: u64| height.to_be_bytes().to_vec();
    let id = transaction(1, 5).id();
    let institution = StateKey::Institution(member(2)).bytes();
    let places: [(Column, Vec<u8>, &str); 9] = [
        (Column::Header, height(2), "block 2"),
        (Column::Certificate, height(2), "block 2"),
        (Column::Transaction, location_key((Height(1), 0)), "block 1"),
        (Column::Receipt, location_key((Height(1), 0)), "block 1"),
        (Column::TransactionIndex, id.0.to_vec(), "block 1"),
        (Column::BlockIndex, first_key(Column::BlockIndex), "block "),
        (Column::StateRow, institution, "state_row"),
        (Column::StateBucket, first_key(Column::StateBucket), "state_bucket"),
        (Column::LogNode, first_key(Column::LogNode), "log_node"),
    ];
    for (column, key, place) in places {
        let dir = temporary();
        two_blocks(dir.path());
        flip(dir.path(), column, &key);
        let report = audited(dir.path());
        let first = report.findings.first().unwrap_or_else(|| panic!("{column:?} was not noticed"));
        assert!(first.place.starts_with(place), "{column:?}: {first}");
    }
}

fn two_blocks(dir: &Path) {
    let mut node = TestNode::open(dir, 0);
    node.block((0..6).map(|number| transaction((number % 4) as u8, number)));
    node.blocks(1);
}

/// The first key of a column in the ledger of [`two_blocks`], which is the same every time.
fn first_key(column: Column) -> Vec<u8> {
    let dir = temporary();
    two_blocks(dir.path());
    let disk = Database::open(dir.path(), false, StorageOptions::default()).unwrap();
    let first = disk.scan(column, &[]).next().unwrap().unwrap();
    first.0.into_vec()
}

#[test]
fn the_audit_finds_rows_too_many_and_too_few() {
    let dir = temporary();
    two_blocks(dir.path());
    tamper(dir.path(), |_, batch| {
        batch.put(Column::StateRow, StateKey::Institution(member(9)).bytes(), vec![1]);
        batch.delete(Column::StateRow, StateKey::Institution(member(0)).bytes());
        batch.put(Column::Receipt, location_key((Height(3), 0)), vec![0]);
    });
    let report = audited(dir.path());
    let reasons: Vec<&str> = report.findings.iter().map(|finding| finding.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["the row is missing", "the row should not be there", "there are rows of blocks behind the tip"]
    );
}

#[test]
fn other_chains_formats_and_paths_are_refused_in_words() {
    let dir = temporary();
    drop(TestNode::open(dir.path(), 0));
    let options = StorageOptions::default();
    let mut other = genesis();
    other.network = "another".into();
    let error = Store::open_or_create(dir.path(), &other, options).err().unwrap();
    assert!(matches!(error, StorageError::OtherChain { .. }), "{error}");
    let error = Store::create(dir.path(), &genesis(), options).err().unwrap();
    assert!(matches!(error, StorageError::NotEmpty { .. }), "{error}");
    let error = Store::open(&dir.path().join("typo"), options).err().unwrap();
    assert!(matches!(error, StorageError::NoLedger { .. }), "{error}");
    assert!(!dir.path().join("typo").exists(), "a mistyped path leaves nothing behind");

    tamper(dir.path(), |_, batch| {
        batch.put(Column::Meta, FORMAT_KEY, codec::encode(&(FORMAT_VERSION + 1)));
    });
    let error = Store::open(dir.path(), options).err().unwrap();
    assert!(matches!(error, StorageError::OtherFormat { found: 2, supported: 1, .. }), "{error}");
}

#[test]
fn a_tip_that_does_not_fit_its_rows_does_not_open() {
    let dir = temporary();
    two_blocks(dir.path());
    flip(dir.path(), Column::Header, &2u64.to_be_bytes());
    let store = Store::open(dir.path(), StorageOptions::default()).unwrap();
    let error = store.load().unwrap_err();
    assert!(
        matches!(error, StorageError::Damage(Damage::Contradiction { .. } | Damage::Row { .. })),
        "{error}"
    );
    drop(store);
    tamper(dir.path(), |_, batch| batch.delete(Column::Meta, GENESIS_KEY));
    let error = Store::open(dir.path(), StorageOptions::default()).err().unwrap();
    assert!(matches!(error, StorageError::Damage(Damage::RowMissing { column: "meta", .. })), "{error}");
}

#[test]
fn a_backup_made_while_the_node_runs_restores_to_the_same_ledger() {
    let (dir, copies, target) = (temporary(), temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(2);
    let reader = node.ledger.reader();
    let first = backup::backup(reader.store(), copies.path(), 2).unwrap();
    node.blocks(1);
    let second = backup::backup(reader.store(), copies.path(), 2).unwrap();
    assert!(second.number > first.number && second.bytes > 0);
    assert_eq!(backup::verify(copies.path()).unwrap(), second);
    let tip = node.ledger.tip().clone();
    node.blocks(1);

    let restored = backup::restore(copies.path(), &target.path().join("ledger")).unwrap();
    assert_eq!((restored.height, restored.block_id), (Height(3), tip.block_id));
    assert!(audited(&target.path().join("ledger")).is_clean());
    let again = backup::restore(copies.path(), &target.path().join("ledger")).unwrap_err();
    assert!(matches!(again, StorageError::NotEmpty { .. }), "{again}");
    let nothing = backup::verify(&target.path().join("typo")).unwrap_err();
    assert!(matches!(nothing, StorageError::NoBackup { .. }), "{nothing}");
}

#[test]
fn a_damaged_backup_does_not_verify() {
    let (dir, copies) = (temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(1);
    backup::backup(node.ledger.reader().store(), copies.path(), 1).unwrap();
    let file = files(&copies.path().join("shared_checksum"), ".sst").pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[10] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let error = backup::verify(copies.path()).unwrap_err();
    assert!(
        matches!(&error, StorageError::BackupDamaged { number: 1, files, .. } if files.contains(".sst")),
        "{error}"
    );
}

#[test]
fn a_newest_backup_that_lacks_a_file_is_said_not_passed_over_and_leaves_no_half_ledger() {
    let (dir, copies, target) = (temporary(), temporary(), temporary());
    let mut node = TestNode::open(dir.path(), 0);
    node.blocks(1);
    let first = backup::backup(node.ledger.reader().store(), copies.path(), 2).unwrap();
    node.blocks(1);
    let second = backup::backup(node.ledger.reader().store(), copies.path(), 2).unwrap();
    let ledger = target.path().join("ledger");
    let current = copies.path().join(format!("private/{}/CURRENT", second.number));
    let whole = fs::read(&current).unwrap();
    fs::write(&current, &whole[1..]).unwrap();
    let short = backup::restore(copies.path(), &ledger).unwrap_err();
    fs::remove_file(&current).unwrap();
    let missing = backup::restore(copies.path(), &ledger).unwrap_err();
    for error in [short, missing] {
        assert!(
            matches!(error, StorageError::BackupDamaged { number, .. } if number == second.number),
            "{error}"
        );
        assert!(error.to_string().contains("CURRENT"), "{error}");
        assert!(!ledger.exists());
    }
    // The remedy that it names.
    let meta = copies.path().join(format!("meta/{}", second.number));
    fs::rename(meta, target.path().join("away")).unwrap();
    assert_eq!(backup::verify(copies.path()).unwrap(), first);
    assert_eq!(backup::restore(copies.path(), &ledger).unwrap().height, Height(1));
}

#[test]
fn every_column_has_its_own_name_and_tables_read_what_was_written() {
    let mut names: Vec<&str> = Column::ALL.iter().map(|column| column.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Column::ALL.len());
    let dir = temporary();
    two_blocks(dir.path());
    let disk = Database::open_read_only(dir.path(), StorageOptions::default()).unwrap();
    let tables = Tables(&disk);
    let header = tables.header(Height(1)).unwrap().unwrap();
    assert_eq!(tables.height_of(header.id()).unwrap(), Some(Height(1)));
    assert_eq!(tables.transactions_of(&header).unwrap().len(), 6);
    assert!(disk.bytes().is_ok());
}

#[test]
fn the_state_tree_can_be_measured_and_gives_the_same_root_every_time() {
    let workload = yilian_spec::crypto::merkle::state_tree::workload::Workload {
        base_keys: 2_000,
        blocks: 3,
        keys_per_block: 100,
    };
    let (first, second) = (temporary(), temporary());
    let measured = super::measure::measure_workload(first.path(), &workload).unwrap();
    assert!((200..=300).contains(&measured.keys), "some of the random keys repeat: {}", measured.keys);
    assert_eq!(super::measure::measure_workload(second.path(), &workload).unwrap().root, measured.root);
}
