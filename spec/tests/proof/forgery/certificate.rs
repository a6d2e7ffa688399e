//! Forged certificates: signers twice, strangers, too few, of another round, block or chain, under another set.

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, Hash};
use yilian_spec::crypto::signature::{SecretKey, Signature};
use yilian_spec::domain::membership::validators::{Validator, ValidatorSet};
use yilian_spec::ledger::block::{
    CertificateError, CommitCertificate, CommitSignature, Header, precommit_signing_bytes,
};

use super::draw::Draw;
use super::{attempt_all, judge};
use crate::ledger::{Day, institution};

/// Voting powers of each set: equal, unequal, one that holds two thirds and no more, many.
const POWERS: [&[u64]; 4] = [&[1, 1, 1, 1], &[5, 1, 2, 3, 4], &[4, 1, 1], &[1; 10]];
/// Keys that sign beside the validators.
const STRANGERS: usize = 2;
/// Rounds, headers and chains to mix.
const ROUNDS: u32 = 3;
const HEADERS: usize = 3;

struct Fixture {
    set: ValidatorSet,
    headers: Vec<Header>,
    /// Every signature under every header and round; the last two of each are the strangers'.
    signatures: Vec<Vec<Vec<CommitSignature>>>,
    /// The same over the first header on another chain.
    elsewhere: Vec<CommitSignature>,
}

fn secret(set: usize, number: usize) -> SecretKey {
    SecretKey::from_seed(&codec::hash_bytes(Domain::Object, format!("{set}/{number}").as_bytes()).0)
}

fn fixture(number: usize, template: &Header) -> Fixture {
    let powers = POWERS[number];
    let validator = |place: usize| Validator {
        key: secret(number, place).public_key(),
        institution: institution("renhe-hospital"),
        power: powers[place],
    };
    let set = ValidatorSet::new((0..powers.len()).map(validator).collect());
    let mut keys: Vec<SecretKey> = (0..powers.len()).map(|place| secret(number, place)).collect();
    keys.sort_by_key(SecretKey::public_key);
    keys.extend((0..STRANGERS).map(|place| secret(number, 100 + place)));
    let header = |place: usize| Header {
        state_root: Hash([place as u8; 32]),
        validators_hash: set.hash(),
        ..template.clone()
    };
    let headers: Vec<Header> = (0..HEADERS).map(header).collect();
    let sign = |chain_id, round, header: &Header| {
        let bytes = precommit_signing_bytes(chain_id, header.height, round, header.id());
        let sign =
            |key: &SecretKey| CommitSignature { validator: key.public_key(), signature: key.sign(&bytes) };
        keys.iter().map(sign).collect::<Vec<_>>()
    };
    let rounds = |header: &Header| (0..ROUNDS).map(|round| sign(header.chain_id, round, header)).collect();
    let signatures = headers.iter().map(rounds).collect();
    let elsewhere = sign(ChainId([7; 32]), 0, &headers[0]);
    Fixture { set, headers, signatures, elsewhere }
}

/// A header, a certificate for it, and the set that the verifier trusts.
#[derive(Debug)]
struct Claim {
    fixture: usize,
    trusted: usize,
    header: usize,
    certificate: CommitCertificate,
}

fn honest(fixtures: &[Fixture], draw: &mut Draw) -> Claim {
    let (fixture, header, round) = (draw.below(fixtures.len()), draw.below(HEADERS), draw.below(2));
    let Fixture { set, headers, signatures, .. } = &fixtures[fixture];
    let mut chosen: Vec<_> = signatures[header][round][..set.validators().len()].to_vec();
    while draw.one_in(2) && chosen.len() > 1 {
        chosen.remove(draw.below(chosen.len()));
    }
    let (height, block_id) = (headers[header].height, headers[header].id());
    let certificate = CommitCertificate { height, round: round as u32, block_id, signatures: chosen };
    Claim { fixture, trusted: fixture, header, certificate }
}

fn bend(claim: &mut Claim, fixtures: &[Fixture], draw: &mut Draw) {
    let Fixture { headers, signatures: signed, elsewhere, .. } = &fixtures[claim.fixture];
    // What all keys signed under one header and in one round.
    let by_round: &Vec<Vec<CommitSignature>> = draw.of(signed);
    let all: &Vec<CommitSignature> = draw.of(by_round);
    let signatures = &mut claim.certificate.signatures;
    let at = draw.below(signatures.len().max(1));
    match draw.below(12) {
        0 if !signatures.is_empty() => signatures.insert(at, signatures[at].clone()),
        1 if !signatures.is_empty() => drop(signatures.remove(at)),
        // A stranger, in the right order.
        2 => {
            signatures.push(all[all.len() - 1 - draw.below(STRANGERS)].clone());
            signatures.sort();
        }
        // The stranger's signature under a validator's name, and the other way round.
        3 if !signatures.is_empty() => {
            let other = draw.of(all);
            if draw.one_in(2) {
                signatures[at].validator = other.validator;
            } else {
                signatures[at].signature = other.signature;
            }
            signatures.sort();
        }
        4 => claim.certificate.round = draw.below(ROUNDS as usize + 1) as u32,
        5 => claim.certificate.height = Height(draw.below(9) as u64),
        6 => {
            claim.header = draw.below(HEADERS);
            if draw.one_in(2) {
                claim.certificate.block_id = headers[claim.header].id();
            }
        }
        7 => claim.trusted = draw.below(fixtures.len()),
        // What the same validators signed in another round, for another block, or on another chain.
        8 if !signatures.is_empty() => {
            let all = if draw.one_in(3) { elsewhere } else { all };
            for entry in signatures.iter_mut().skip(at) {
                let same = all.iter().find(|other| other.validator == entry.validator);
                *entry = same.unwrap_or(entry).clone();
            }
        }
        9 if !signatures.is_empty() => {
            let other = draw.below(signatures.len());
            signatures.swap(at, other);
        }
        10 if !signatures.is_empty() => {
            let other = draw.below(signatures.len());
            (signatures[at].signature, signatures[other].signature) =
                (signatures[other].signature, signatures[at].signature);
        }
        _ if !signatures.is_empty() => {
            let Signature::Ed25519(bytes) = &mut signatures[at].signature;
            bytes[draw.below(64)] ^= 1 << draw.below(8);
        }
        _ => {}
    }
}

/// The oracle: every signature is one that its key made for this header and round, no key twice, in order, all of the
/// set, and together they hold more than two thirds.
fn is_honest(claim: &Claim, fixtures: &[Fixture]) -> bool {
    let Fixture { set, headers, signatures, .. } = &fixtures[claim.fixture];
    let (header, certificate) = (&headers[claim.header], &claim.certificate);
    let made = signatures[claim.header].get(certificate.round as usize);
    let members = set.validators();
    let power = |entry: &CommitSignature| {
        let member = members.iter().find(|member| member.key == entry.validator)?;
        made?.contains(entry).then_some(member.power)
    };
    let powers: Option<Vec<u64>> = certificate.signatures.iter().map(power).collect();
    let in_order = certificate.signatures.windows(2).all(|pair| pair[0].validator < pair[1].validator);
    let all: u64 = members.iter().map(|member| member.power).sum();
    claim.trusted == claim.fixture
        && certificate.height == header.height
        && certificate.block_id == header.id()
        && in_order
        && powers.is_some_and(|powers| 3 * powers.iter().sum::<u64>() > 2 * all)
}

#[test]
fn no_forged_certificate_passes() {
    let template = Day::play().ledger.tip_block().header;
    let fixtures: Vec<Fixture> = (0..POWERS.len()).map(|number| fixture(number, &template)).collect();
    attempt_all("certificate", 4, |draw| {
        let mut claim = honest(&fixtures, draw);
        for _ in 0..draw.bends() {
            bend(&mut claim, &fixtures, draw);
        }
        let Fixture { headers, .. } = &fixtures[claim.fixture];
        let answer = claim.certificate.verify(&headers[claim.header], &fixtures[claim.trusted].set);
        let by_hash = |error: &CertificateError| {
            matches!(error, CertificateError::BadSignature(_) | CertificateError::TooLittlePower { .. })
        };
        judge(&claim, is_honest(&claim, &fixtures), answer, by_hash)
    });
}
