//! Versions of the protocol: which rules hold at which height (rules V-1, V-2).
//!
//! All that a version changes asks [`ProtocolVersion`] which one holds, so that a ledger can be executed again from its
//! first block by a program of any later version.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::height::Height;
use super::limits;

/// A version of the protocol that this program executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProtocolVersion {
    /// The first.
    V1,
    /// Outcomes of referrals can be amended.
    V2,
}

/// A version that this program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the ledger goes on under version {found} of the protocol, this program knows versions 1 to {}: update it",
    ProtocolVersion::LATEST.number()
)]
pub struct UnknownVersion {
    /// The version.
    pub found: u16,
}

impl ProtocolVersion {
    /// All versions, in order.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];
    /// The last one.
    pub const LATEST: Self = Self::V2;

    /// Its number, as headers hold it.
    pub const fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

impl TryFrom<u16> for ProtocolVersion {
    type Error = UnknownVersion;

    fn try_from(number: u16) -> Result<Self, UnknownVersion> {
        let found = Self::ALL.into_iter().find(|version| version.number() == number);
        found.ok_or(UnknownVersion { found: number })
    }
}

impl std::fmt::Display for ProtocolVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number().fmt(formatter)
    }
}

/// From which block on a version holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionStart {
    /// The first block of the version.
    pub height: Height,
    /// Its number, which a program need not know until then.
    pub version: u16,
}

/// Which version holds at which height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(transparent)]
pub struct VersionSchedule(Vec<VersionStart>);

impl Default for VersionSchedule {
    /// The latest version from the first block on.
    fn default() -> Self {
        Self::new([(Height(1), ProtocolVersion::LATEST)])
    }
}

impl VersionSchedule {
    /// Versions by their first blocks.
    pub fn new(starts: impl IntoIterator<Item = (Height, ProtocolVersion)>) -> Self {
        let start =
            |(height, version): (Height, ProtocolVersion)| VersionStart { height, version: version.number() };
        Self(starts.into_iter().map(start).collect())
    }

    /// The versions by their first blocks, in order.
    pub fn starts(&self) -> &[VersionStart] {
        &self.0
    }

    /// The number of the version that holds at a height; 0 before the first block.
    pub fn number_at(&self, height: Height) -> u16 {
        let last = self.0.iter().rev().find(|start| start.height <= height);
        last.map_or(0, |start| start.version)
    }

    /// The version that holds at a height.
    ///
    /// # Errors
    /// [`UnknownVersion`] where this program is too old for the block.
    pub fn at(&self, height: Height) -> Result<ProtocolVersion, UnknownVersion> {
        ProtocolVersion::try_from(self.number_at(height))
    }

    /// Where a version begins that this program does not know, if one does.
    pub fn first_unknown(&self) -> Option<VersionStart> {
        self.0.iter().copied().find(|start| ProtocolVersion::try_from(start.version).is_err())
    }

    /// Whether the first begins with the first block, and heights and numbers ascend (rule G-11).
    pub fn is_well_formed(&self) -> bool {
        (1..=limits::VERSIONS_MAX).contains(&self.0.len())
            && self.0[0].height == Height(1)
            && self.0[0].version > 0
            && self
                .0
                .windows(2)
                .all(|pair| pair[0].height < pair[1].height && pair[0].version < pair[1].version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_holds_from_its_first_block_until_the_next_one_begins() {
        let schedule =
            VersionSchedule::new([(Height(1), ProtocolVersion::V1), (Height(10), ProtocolVersion::V2)]);
        assert!(schedule.is_well_formed());
        let at = |height| schedule.at(Height(height)).unwrap();
        assert_eq!((at(1), at(9)), (ProtocolVersion::V1, ProtocolVersion::V1));
        assert_eq!((at(10), at(u64::MAX)), (ProtocolVersion::V2, ProtocolVersion::V2));
        assert_eq!(schedule.at(Height(0)), Err(UnknownVersion { found: 0 }));
    }

    #[test]
    fn a_version_that_nobody_here_knows_is_told_at_its_first_block() {
        let starts = vec![
            VersionStart { height: Height(1), version: 1 },
            VersionStart { height: Height(7), version: 900 },
        ];
        let schedule = VersionSchedule(starts);
        assert!(schedule.is_well_formed());
        assert_eq!(schedule.at(Height(6)), Ok(ProtocolVersion::V1));
        assert_eq!(schedule.at(Height(7)), Err(UnknownVersion { found: 900 }));
        assert_eq!(schedule.first_unknown(), Some(VersionStart { height: Height(7), version: 900 }));
        assert_eq!(VersionSchedule::default().first_unknown(), None);
    }

    #[test]
    fn a_schedule_ascends_from_the_first_block() {
        let formed = |starts: &[(u64, u16)]| {
            let start =
                |(height, version): &(u64, u16)| VersionStart { height: Height(*height), version: *version };
            VersionSchedule(starts.iter().map(start).collect()).is_well_formed()
        };
        assert!(formed(&[(1, 1)]) && formed(&[(1, 2)]) && formed(&[(1, 1), (2, 3)]));
        let wrong: [&[(u64, u16)]; 6] =
            [&[], &[(2, 1)], &[(1, 0)], &[(1, 1), (1, 2)], &[(1, 1), (9, 1)], &[(1, 2), (9, 1)]];
        for starts in wrong {
            assert!(!formed(starts), "{starts:?}");
        }
        let many: Vec<(u64, u16)> = (1..=limits::VERSIONS_MAX as u64 + 1).map(|n| (n, n as u16)).collect();
        assert!(formed(&many[..limits::VERSIONS_MAX]) && !formed(&many));
    }

    #[test]
    fn every_version_is_known_by_its_number() {
        for version in ProtocolVersion::ALL {
            assert_eq!(ProtocolVersion::try_from(version.number()), Ok(version));
        }
        assert_eq!(ProtocolVersion::ALL.last(), Some(&ProtocolVersion::LATEST));
        assert_eq!(ProtocolVersion::try_from(3), Err(UnknownVersion { found: 3 }));
    }
}
