//! The fault model: every fault that a run can meet, by name, with its bounds.
//!
//! `SIM_FAULTS=loss,crash` injects only those, `SIM_FAULTS=crash.2` of the losses of power only the third one. A failure
//! prints the smallest set that still shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A fault. What each run meets of it is drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Up to 80 messages in a thousand are lost.
    Loss,
    /// Up to 80 messages in a thousand arrive twice.
    Duplication,
    /// Messages take up to 280 ms and overtake each other; without it each takes the same time.
    Delay,
    /// Up to three cuts between nodes, one way or both, of up to 5 s.
    Partition,
    /// Up to five losses of power of one node, and in every third run one of all nodes, after any act.
    Crash,
    /// Clocks stand up to 1 s from the true time.
    ClockSkew,
    /// Up to three clocks jump, forward or back, within 1 s of the true time.
    ClockJump,
    /// The power goes in the middle of a batch of the ledger, which is then not there: at most once.
    TornWrite,
    /// A disk refuses all writes, of the ledger and of the log of votes, for up to 3 s: at most once. The node stops, and
    /// is started until it stays up.
    FullDisk,
    /// Each write of a node takes up to 200 ms, for up to 4 s: at most twice.
    SlowDisk,
    /// The weak node loses its disk, ledger and log of votes, and comes back with an empty one: at most once. A validator
    /// then follows without its key for as long as decision 0014 asks.
    LostDisk,
    /// When the power of the weak node goes, its disk has not kept what it said it had since some moment: at most once.
    /// Nobody notices, so a validator may sign again what it has signed.
    LostWrite,
    /// A bit of one row of the weak node's ledger turns over: at most once. It must be found, by a read or by the audit;
    /// then the ledger is set aside and rebuilt from the peers.
    BitFlip,
    /// The weak node, if it is a validator, lies all the time, in one of the ways of [`super::liars`].
    Lie,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 14] = [
        Self::Loss,
        Self::Duplication,
        Self::Delay,
        Self::Partition,
        Self::Crash,
        Self::ClockSkew,
        Self::ClockJump,
        Self::TornWrite,
        Self::FullDisk,
        Self::SlowDisk,
        Self::LostDisk,
        Self::LostWrite,
        Self::BitFlip,
        Self::Lie,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Duplication => "duplication",
            Self::Delay => "delay",
            Self::Partition => "partition",
            Self::Crash => "crash",
            Self::ClockSkew => "clock-skew",
            Self::ClockJump => "clock-jump",
            Self::TornWrite => "torn-write",
            Self::FullDisk => "full-disk",
            Self::SlowDisk => "slow-disk",
            Self::LostDisk => "lost-disk",
            Self::LostWrite => "lost-write",
            Self::BitFlip => "bit-flip",
            Self::Lie => "lie",
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        let known: Vec<&str> = Self::ALL.iter().map(|fault| fault.name()).collect();
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| format!("there is no fault {name:?}; the faults are {}", known.join(", ")))
    }
}

/// Which cases of a fault: all, or those with these numbers.
type Cases = Option<BTreeSet<usize>>;

/// The faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSet(BTreeMap<Fault, Cases>);

impl Default for FaultSet {
    /// All of them.
    fn default() -> Self {
        Self(Fault::ALL.into_iter().map(|fault| (fault, None)).collect())
    }
}

impl FaultSet {
    /// The faults of a list of names, separated by commas; a name may be followed by `.` and the number of a case.
    ///
    /// # Errors
    /// The first name that is no fault's, with those that are.
    pub fn parse(names: &str) -> Result<Self, String> {
        let mut set = Self::none();
        for word in names.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.split_once('.') {
                None => {
                    set.0.insert(Fault::named(word)?, None);
                }
                Some((name, number)) => {
                    let number =
                        number.parse().map_err(|_| format!("{word:?}: no number after the point"))?;
                    set.add(Fault::named(name)?, number);
                }
            }
        }
        Ok(set)
    }

    /// No fault at all.
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// These without some.
    #[must_use]
    pub fn without(mut self, left_out: &[Fault]) -> Self {
        self.0.retain(|fault, _| !left_out.contains(fault));
        self
    }

    /// Adds a case of a fault.
    pub fn add(&mut self, fault: Fault, number: usize) {
        if let Some(cases) = self.0.entry(fault).or_insert_with(|| Some(BTreeSet::new())) {
            cases.insert(number);
        }
    }

    /// Whether a fault is among them, in any case.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains_key(&fault)
    }

    /// Whether the case of a fault with this number is among them.
    pub fn has_case(&self, fault: Fault, number: usize) -> bool {
        match self.0.get(&fault) {
            None => false,
            Some(None) => true,
            Some(Some(cases)) => cases.contains(&number),
        }
    }
}

impl fmt::Display for FaultSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().flat_map(|(fault, cases)| match cases {
            None => vec![fault.name().to_owned()],
            Some(cases) => cases.iter().map(|number| format!("{}.{number}", fault.name())).collect(),
        });
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_no_other_name_is_taken() {
        for fault in Fault::ALL {
            let set = FaultSet::parse(fault.name()).unwrap();
            assert!(Fault::ALL.into_iter().all(|other| set.has(other) == (other == fault)));
            assert!(set.has_case(fault, 7));
        }
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(FaultSet::parse(&names.join(", ")).unwrap(), FaultSet::default());
        assert!(FaultSet::parse("loss,los").unwrap_err().contains("torn-write"));
    }

    #[test]
    fn cases_are_taken_one_by_one_and_printed_as_they_are_read() {
        let set = FaultSet::parse("crash.2,loss, crash.0").unwrap();
        assert!(set.has_case(Fault::Crash, 0) && !set.has_case(Fault::Crash, 1));
        assert!(set.has(Fault::Crash) && !set.has(Fault::Lie));
        assert_eq!(set.to_string(), "loss,crash.0,crash.2");
        assert_eq!(FaultSet::parse(&set.to_string()).unwrap(), set);
        assert!(FaultSet::parse("crash.x").is_err());
    }
}
