//! The disk of a node beside that of another one at the same height, which was audited. An audit of every node is a fifth
//! of a run; what must be the same is compared byte by byte instead, and only what may differ is checked by itself.
//!
//! | columns | |
//! |---|---|
//! | certificates | the same, or another quorum of valid signatures |
//! | buckets of the state tree | grouped by history: each is right, and together they lead to the same root |
//! | undecided blocks | none of a decided height, and all readable |
//! | all others | the same |

use std::convert::Infallible;

use yilian_node::storage::disk::{Column, ReadBytes};
use yilian_node::storage::error::StorageError;
use yilian_node::storage::tables::Tables;
use yilian_spec::base::height::Height;
use yilian_spec::crypto::merkle::state_tree::{BucketId, StateTree, audit_row};
use yilian_spec::domain::membership::validators::ValidatorSet;
use yilian_spec::ledger::block::{CommitCertificate, Header, precommit_signing_bytes};

use super::verifier::is_signed;

type Difference = Result<Option<String>, StorageError>;

/// What on a disk is not as it must be, given one that is.
///
/// # Errors
/// When a disk cannot be read.
pub fn difference(disk: &dyn ReadBytes, audited: &dyn ReadBytes, validators: &ValidatorSet) -> Difference {
    let may_differ = [Column::Certificate, Column::StateBucket, Column::Undecided];
    for column in Column::ALL.into_iter().filter(|column| !may_differ.contains(column)) {
        if let Some(key) = first_difference(disk, audited, column)? {
            return Ok(Some(format!("{} {key} differs from the audited disk", column.name())));
        }
    }
    let checks = [certificates(disk, audited, validators)?, buckets(disk)?, undecided(disk)?];
    Ok(checks.into_iter().flatten().next())
}

fn first_difference(disk: &dyn ReadBytes, audited: &dyn ReadBytes, column: Column) -> Difference {
    let (mut rows, mut expected) = (disk.scan(column, &[]), audited.scan(column, &[]));
    loop {
        match (rows.next().transpose()?, expected.next().transpose()?) {
            (None, None) => return Ok(None),
            (row, wanted) if row == wanted => {}
            (row, wanted) => return Ok(row.min(wanted.clone()).or(wanted).map(|(key, _)| hex::encode(key))),
        }
    }
}

/// There is one for each height, equal to the audited one or right by itself.
fn certificates(disk: &dyn ReadBytes, audited: &dyn ReadBytes, validators: &ValidatorSet) -> Difference {
    let tables = Tables(disk);
    let (tip, ..) = tables.tip()?;
    if disk.scan(Column::Certificate, &[]).count() as u64 != tip.0 {
        return Ok(Some(format!("there are more or fewer than {tip} certificates")));
    }
    for height in (1..=tip.0).map(Height) {
        let (Some(header), Some(certificate)) = (tables.header(height)?, tables.certificate(height)?) else {
            return Ok(Some(format!("block {height} has no certificate")));
        };
        let is_audited = Tables(audited).certificate(height)?.as_ref() == Some(&certificate);
        if !is_audited && !is_final(&certificate, &header, validators) {
            return Ok(Some(format!("the certificate of block {height} does not make it final")));
        }
    }
    Ok(None)
}

/// Rules B-4 to B-8.
fn is_final(certificate: &CommitCertificate, header: &Header, validators: &ValidatorSet) -> bool {
    let CommitCertificate { height, round, block_id, signatures } = certificate;
    let message = precommit_signing_bytes(header.chain_id, *height, *round, *block_id);
    let power = |key| validators.get(key).map_or(0, |validator| u128::from(validator.power));
    let signed: u128 = signatures.iter().map(|one| power(&one.validator)).sum();
    let total: u128 = validators.validators().iter().map(|one| u128::from(one.power)).sum();
    (*height, *block_id) == (header.height, header.id())
        && validators.hash() == header.validators_hash
        && signatures.is_sorted_by(|one, next| one.validator < next.validator)
        && signatures.iter().all(|one| power(&one.validator) > 0)
        && signatures.iter().all(|one| is_signed(&one.validator, &message, &one.signature))
        && signed * 3 > total * 2
}

fn buckets(disk: &dyn ReadBytes) -> Difference {
    let mut rows = Vec::new();
    for row in disk.scan(Column::StateBucket, &[]) {
        let (key, value) = row?;
        match BucketId::from_bytes(&key).filter(|id| audit_row(*id, &value).is_ok()) {
            Some(id) => rows.push(Ok::<_, Infallible>((id, value.into_vec()))),
            None => return Ok(Some(format!("state_bucket {} is not right", hex::encode(&key)))),
        }
    }
    let (.., state_root) = Tables(disk).tip()?;
    let leads_there = StateTree::open(rows).is_ok_and(|tree| tree.root() == state_root.0);
    Ok((!leads_there).then(|| "the buckets do not lead to the state root of the tip".to_owned()))
}

fn undecided(disk: &dyn ReadBytes) -> Difference {
    let tables = Tables(disk);
    let (tip, ..) = tables.tip()?;
    let decided = tables.undecided_keys(Height(0)..=tip)?.into_iter().next();
    tables.undecided(tip.next(), None)?;
    Ok(decided.map(|key| format!("undecided {}: its height is decided", hex::encode(key))))
}
