//! Four validators with keys from their numbers, for what is tested without a network.

use std::sync::Arc;

use yilian_spec::base::height::Height;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::parameters::ConsensusTimeouts;

use crate::application::{StartPoint, ValidatorInfo};
use crate::consensus::assembler::Window;
use crate::consensus::context::ValidatorSet;

/// The key of a number; those of 0 to 3 are validators'.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The institution of a key.
pub fn institution(number: u8) -> InstitutionId {
    InstitutionId::new(&format!("member-{number}")).unwrap()
}

/// A height and round of the four.
pub fn window(height: u64, round: u32) -> Window {
    let validator = |number| ValidatorInfo {
        public_key: key(number).public_key(),
        institution: institution(number),
        voting_power: 1,
    };
    let start = StartPoint {
        height: Height(height),
        validators: (0..4).map(validator).collect(),
        rotation: vec![],
        timeouts: ConsensusTimeouts::default(),
        target_time_ms: None,
        had_work: false,
    };
    Window { height: Height(height), round, validators: Arc::new(ValidatorSet::new(&start)) }
}
