//! What happens in a run, drawn from the seed before it begins: delays, losses, cuts, crashes, submissions.

use super::faults::{Fault, FaultSet};
use super::random::Random;

/// Validators of every run.
pub const VALIDATORS: usize = 4;
/// All nodes: the validators and one observer, the last.
pub const NODES: usize = VALIDATORS + 1;

/// A node whose power is to go after some acts loses it after so long even if it has not come to as many.
pub const POWER_OFF_MS: u64 = 2_000;
/// From then on nothing fails any more, in virtual milliseconds.
pub const FAULTS_END_MS: u64 = 15_000;
/// Until then every node must hold every transaction.
pub const DEADLINE_MS: u64 = FAULTS_END_MS + 90_000;
/// The last moment at which a loss of power begins.
const CRASH_MS_MAX: u64 = FAULTS_END_MS - 2_500;
/// Transactions of one run.
pub const TRANSACTIONS: usize = 40;

/// How the network treats a message while faults last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Messages lost, in a thousand.
    pub loss_per_mille: u64,
    /// Messages delivered twice, in a thousand.
    pub duplication_per_mille: u64,
    /// Shortest delay.
    pub delay_ms_min: u64,
    /// Longest delay; messages overtake each other within it.
    pub delay_ms_max: u64,
}

/// A node loses power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// When.
    pub at_ms: u64,
    /// Which node.
    pub node: usize,
    /// How many durable or visible acts (appending to the log of votes, keeping a block, committing, sending) it still
    /// completes: the cut falls between any two of them.
    pub after_acts: u32,
    /// How long it stays down; not beyond [`FAULTS_END_MS`].
    pub down_ms: u64,
}

/// Some nodes do not reach some others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From when.
    pub at_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// The nodes of one side.
    pub side: [bool; NODES],
    /// Whether only what leaves the side is lost, and what enters it arrives.
    pub one_way: bool,
}

impl Partition {
    /// Whether it takes what `from` sends to `to` at this time.
    pub fn blocks(&self, now_ms: u64, from: usize, to: usize) -> bool {
        let lasts = (self.at_ms..self.until_ms).contains(&now_ms);
        let crosses =
            if self.one_way { self.side[from] && !self.side[to] } else { self.side[from] != self.side[to] };
        lasts && crosses
    }
}

/// What happens to a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// The power goes in the middle of a batch, after so many whole ones.
    Torn {
        /// How many.
        after: u32,
    },
    /// It refuses writes.
    Full,
    /// Every batch takes time.
    Slow {
        /// How long.
        ms_per_write: u64,
    },
    /// It is gone.
    Lost,
}

/// A disk fails, for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFault {
    /// From when.
    pub at_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Whose.
    pub node: usize,
    /// How.
    pub trouble: DiskTrouble,
}

/// A clock jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockJump {
    /// When.
    pub at_ms: u64,
    /// Whose.
    pub node: usize,
    /// How far it stands from the true one afterwards.
    pub skew_ms: i64,
}

/// All faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The network while faults last.
    pub conditions: Conditions,
    /// How far each node's clock stands from the true one.
    pub skew_ms: [i64; NODES],
    /// When each transaction is submitted first.
    pub submissions_ms: Vec<u64>,
    /// Losses of power.
    pub crashes: Vec<Crash>,
    /// Losses of connections.
    pub partitions: Vec<Partition>,
    /// Disks that fail.
    pub disk_faults: Vec<DiskFault>,
    /// Clocks that jump.
    pub jumps: Vec<ClockJump>,
}

impl Plan {
    /// The plan of a seed, of these faults alone: leaving some out changes nothing of the others.
    pub fn draw(seed: u64, faults: &FaultSet) -> Self {
        let mut plan = Self::draw_all(seed);
        let Conditions { loss_per_mille, duplication_per_mille, delay_ms_min, delay_ms_max } =
            &mut plan.conditions;
        if !faults.has(Fault::Loss) {
            *loss_per_mille = 0;
        }
        if !faults.has(Fault::Duplication) {
            *duplication_per_mille = 0;
        }
        if !faults.has(Fault::Delay) {
            *delay_ms_max = *delay_ms_min;
        }
        if !faults.has(Fault::Partition) {
            plan.partitions.clear();
        }
        if !faults.has(Fault::Crash) {
            plan.crashes.clear();
        }
        if !faults.has(Fault::ClockSkew) {
            plan.skew_ms = [0; NODES];
        }
        if !faults.has(Fault::ClockJump) {
            plan.jumps.clear();
        }
        plan.disk_faults.retain(|fault| faults.has(fault.trouble.fault()));
        plan
    }

    fn draw_all(seed: u64) -> Self {
        let mut random = Random::stream(seed, 1);
        let delay_ms_min = random.between(1, 30);
        let conditions = Conditions {
            loss_per_mille: random.below(80),
            duplication_per_mille: random.below(80),
            delay_ms_min,
            delay_ms_max: delay_ms_min + random.between(0, 250),
        };
        let skew_ms = std::array::from_fn(|_| skew(&mut random));
        let mut submissions_ms: Vec<u64> =
            (0..TRANSACTIONS).map(|_| random.below(FAULTS_END_MS + 3_000)).collect();
        submissions_ms.sort_unstable();
        let mut crashes: Vec<Crash> = (0..random.between(1, 5)).map(|_| Crash::draw(&mut random)).collect();
        if random.chance(350) {
            crashes.extend(Crash::draw_of_all(&mut random));
        }
        let partitions = (0..random.between(0, 3)).map(|_| Partition::draw(&mut random)).collect();
        let mut random = Random::stream(seed, 6);
        let disk_faults = DiskFault::draw(&mut random);
        let jumps = (0..random.below(4)).map(|_| ClockJump::draw(&mut random)).collect();
        Self { conditions, skew_ms, submissions_ms, crashes, partitions, disk_faults, jumps }
    }
}

/// At most a second either way.
fn skew(random: &mut Random) -> i64 {
    random.below(2_001) as i64 - 1_000
}

impl ClockJump {
    fn draw(random: &mut Random) -> Self {
        let at_ms = random.between(200, FAULTS_END_MS);
        Self { at_ms, node: random.position(NODES), skew_ms: skew(random) }
    }
}

impl DiskTrouble {
    /// The fault that this is a case of.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Torn { .. } => Fault::TornWrite,
            Self::Full => Fault::FullDisk,
            Self::Slow { .. } => Fault::SlowDisk,
            Self::Lost => Fault::LostDisk,
        }
    }
}

impl DiskFault {
    fn draw(random: &mut Random) -> Vec<Self> {
        let torn = DiskTrouble::Torn { after: random.position(6) as u32 };
        let slow = |random: &mut Random| DiskTrouble::Slow { ms_per_write: random.between(5, 200) };
        let troubles = [
            (500, torn, CRASH_MS_MAX),
            (400, DiskTrouble::Full, 3_000),
            (400, slow(random), 4_000),
            (300, slow(random), 4_000),
            (400, DiskTrouble::Lost, 3_000),
        ];
        let mut drawn = Vec::new();
        for (per_mille, trouble, lasts_ms_max) in troubles {
            let at_ms = random.between(200, CRASH_MS_MAX);
            let until_ms = (at_ms + random.between(200, lasts_ms_max)).min(FAULTS_END_MS);
            let node = random.position(NODES);
            if random.chance(per_mille) {
                drawn.push(Self { at_ms, until_ms, node, trouble });
            }
        }
        drawn
    }
}

impl Crash {
    fn draw(random: &mut Random) -> Self {
        let at_ms = random.between(200, CRASH_MS_MAX);
        let node = random.position(NODES);
        Self { at_ms, node, after_acts: Self::acts(random), down_ms: Self::down_ms(random) }
    }

    /// All nodes within a moment, as when a building loses power.
    fn draw_of_all(random: &mut Random) -> Vec<Self> {
        let at_ms = random.between(200, CRASH_MS_MAX);
        let crash =
            |node| Self { at_ms, node, after_acts: Self::acts(random), down_ms: Self::down_ms(random) };
        (0..NODES).map(crash).collect()
    }

    fn acts(random: &mut Random) -> u32 {
        // Below 16, so it fits.
        random.below(16) as u32
    }

    /// Some come back before anybody else has moved on, some after others have.
    fn down_ms(random: &mut Random) -> u64 {
        if random.chance(400) { random.between(10, 300) } else { random.between(300, 5_000) }
    }
}

impl Partition {
    fn draw(random: &mut Random) -> Self {
        let at_ms = random.between(100, FAULTS_END_MS - 1_000);
        let until_ms = (at_ms + random.between(300, 5_000)).min(FAULTS_END_MS);
        let side = std::array::from_fn(|_| random.chance(500));
        Self { at_ms, until_ms, side, one_way: random.chance(300) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_repeat_and_all_faults_end_in_time() {
        for seed in 0..200 {
            let all = FaultSet::default();
            let plan = Plan::draw(seed, &all);
            assert_eq!(plan, Plan::draw(seed, &all));
            assert!(plan.disk_faults.iter().all(|fault| fault.until_ms <= FAULTS_END_MS));
            let torn = Plan::draw(seed, &FaultSet::parse("torn-write").unwrap());
            assert!(torn.crashes.is_empty() && torn.submissions_ms == plan.submissions_ms);
            assert!(torn.disk_faults.iter().all(|fault| plan.disk_faults.contains(fault)));
            assert!(plan.crashes.iter().all(|crash| crash.at_ms + POWER_OFF_MS <= FAULTS_END_MS));
            assert!(plan.partitions.iter().all(|cut| cut.until_ms <= FAULTS_END_MS));
        }
        let all = FaultSet::default();
        assert_ne!(Plan::draw(1, &all), Plan::draw(2, &all));
    }

    #[test]
    fn a_one_way_partition_lets_the_other_way_through() {
        let side = [true, false, false, false, false];
        let mut cut = Partition { at_ms: 10, until_ms: 20, side, one_way: true };
        assert!(cut.blocks(10, 0, 1) && !cut.blocks(10, 1, 0) && !cut.blocks(10, 1, 2));
        assert!(!cut.blocks(9, 0, 1) && !cut.blocks(20, 0, 1));
        cut.one_way = false;
        assert!(cut.blocks(19, 0, 1) && cut.blocks(19, 1, 0) && !cut.blocks(19, 1, 2));
    }
}
