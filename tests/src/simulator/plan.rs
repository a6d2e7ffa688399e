//! What happens in a run, drawn from the seed before it begins: delays, losses, cuts, crashes, submissions.

use std::collections::BTreeMap;

use super::faults::{Fault, FaultSet};
use super::liars::Behaviour;
use super::random::Random;

/// Validators of every run.
pub const VALIDATORS: usize = 4;
/// The nodes of a run without twins: the validators and one observer, the last.
pub const NODES: usize = VALIDATORS + 1;
/// All nodes that a run can have: behind those, the twins of up to two validators.
pub const NODES_MAX: usize = NODES + 2;

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
    pub after_acts: u64,
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
    pub side: [bool; NODES_MAX],
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
        after: u64,
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
    /// At the end of this time the power goes, and nothing is left of what was written since its beginning.
    Forgets,
    /// A bit of a row turns over.
    Flips {
        /// Says which row and bit, once it is known how many there are.
        position: u64,
    },
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
    pub skew_ms: [i64; NODES_MAX],
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
    /// Which validators lie, and how; at most one in a run that is drawn.
    pub liars: Vec<(usize, Behaviour)>,
}

/// Keeps of a list the cases that are among the faults, by their place in it.
fn keep<T>(faults: &FaultSet, fault: Fault, list: &mut Vec<T>) {
    let mut number = 0..;
    list.retain(|_| number.next().is_some_and(|number| faults.has_case(fault, number)));
}

impl Plan {
    /// The same plan with these faults alone: leaving some out changes nothing of the others.
    pub fn only(&self, faults: &FaultSet) -> Self {
        let mut plan = self.clone();
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
        keep(faults, Fault::Partition, &mut plan.partitions);
        keep(faults, Fault::Crash, &mut plan.crashes);
        keep(faults, Fault::ClockJump, &mut plan.jumps);
        keep(faults, Fault::Lie, &mut plan.liars);
        if !faults.has(Fault::ClockSkew) {
            plan.skew_ms = [0; NODES_MAX];
        }
        let mut numbers = BTreeMap::new();
        plan.disk_faults.retain(|disk| {
            let number = numbers.entry(disk.trouble.fault()).or_insert(0);
            *number += 1;
            faults.has_case(disk.trouble.fault(), *number - 1)
        });
        plan
    }

    /// Every case of every fault that a run of this plan meets.
    pub fn cases(&self) -> Vec<(Fault, usize)> {
        let mut cases = Vec::new();
        let mut add = |fault, count| cases.extend((0..count).map(|number| (fault, number)));
        add(Fault::Loss, usize::from(self.conditions.loss_per_mille > 0));
        add(Fault::Duplication, usize::from(self.conditions.duplication_per_mille > 0));
        add(Fault::Delay, usize::from(self.conditions.delay_ms_max > self.conditions.delay_ms_min));
        add(Fault::Partition, self.partitions.len());
        add(Fault::Crash, self.crashes.len());
        add(Fault::ClockSkew, usize::from(self.skew_ms != [0; NODES_MAX]));
        add(Fault::ClockJump, self.jumps.len());
        for fault in Fault::ALL {
            add(fault, self.disk_faults.iter().filter(|disk| disk.trouble.fault() == fault).count());
        }
        add(Fault::Lie, self.liars.len());
        cases
    }

    /// Makes a validator lie in this way, whatever was drawn.
    pub fn with_liar(mut self, validator: usize, behaviour: Behaviour, seed: u64) -> Self {
        self.liars = vec![(validator, behaviour)];
        // The fault budget is one: who else would lose its disk keeps it.
        self.disk_faults.retain(|disk| !disk.trouble.is_beyond_repair() || disk.node == validator);
        if behaviour == Behaviour::Amnesia {
            let mut random = Random::stream(seed, 8);
            let crash =
                |_| Crash { node: validator, down_ms: random.between(10, 300), ..Crash::draw(&mut random) };
            self.crashes.extend((0..5).map(crash));
        }
        self
    }

    /// The plan of a seed, with all faults.
    pub fn draw(seed: u64) -> Self {
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
        let weak = random.position(NODES);
        let disk_faults = DiskFault::draw(&mut random, weak);
        let jumps = (0..random.below(4)).map(|_| ClockJump::draw(&mut random)).collect();
        let liars = Vec::new();
        let plan =
            Self { conditions, skew_ms, submissions_ms, crashes, partitions, disk_faults, jumps, liars };
        let behaviour = Behaviour::ALL[random.position(Behaviour::ALL.len())];
        if random.chance(400) && weak < VALIDATORS { plan.with_liar(weak, behaviour, seed) } else { plan }
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
            Self::Forgets => Fault::LostWrite,
            Self::Flips { .. } => Fault::BitFlip,
        }
    }

    /// Whether a node cannot make up for it by itself, so that it counts among the faulty ones of which a third of the
    /// validators may be.
    pub const fn is_beyond_repair(self) -> bool {
        matches!(self, Self::Lost | Self::Forgets | Self::Flips { .. })
    }
}

impl DiskFault {
    /// The disks of one node alone, the weak one, fail so that it cannot make up for it.
    fn draw(random: &mut Random, weak: usize) -> Vec<Self> {
        let torn = DiskTrouble::Torn { after: random.below(6) };
        let slow = |random: &mut Random| DiskTrouble::Slow { ms_per_write: random.between(5, 200) };
        let troubles = [
            (500, torn, CRASH_MS_MAX),
            (400, DiskTrouble::Full, 3_000),
            (400, slow(random), 4_000),
            (300, slow(random), 4_000),
            (300, DiskTrouble::Lost, 3_000),
            (300, DiskTrouble::Forgets, 2_000),
            (300, DiskTrouble::Flips { position: random.word() }, 3_000),
        ];
        let mut drawn = Vec::new();
        for (per_mille, trouble, lasts_ms_max) in troubles {
            let at_ms = random.between(200, CRASH_MS_MAX);
            let until_ms = (at_ms + random.between(200, lasts_ms_max)).min(FAULTS_END_MS);
            let any = random.position(NODES);
            let node = if trouble.is_beyond_repair() { weak } else { any };
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

    fn acts(random: &mut Random) -> u64 {
        random.below(16)
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn plans_repeat_and_all_faults_end_in_time() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            assert_eq!(plan, Plan::draw(seed));
            assert!(plan.disk_faults.iter().all(|fault| fault.until_ms <= FAULTS_END_MS));
            let torn = plan.only(&FaultSet::parse("torn-write").unwrap());
            assert!(torn.crashes.is_empty() && torn.submissions_ms == plan.submissions_ms);
            assert!(torn.disk_faults.iter().all(|fault| plan.disk_faults.contains(fault)));
            assert!(plan.crashes.iter().all(|crash| crash.at_ms + POWER_OFF_MS <= FAULTS_END_MS));
            assert!(plan.partitions.iter().all(|cut| cut.until_ms <= FAULTS_END_MS));
            let beyond = plan.disk_faults.iter().filter(|fault| fault.trouble.is_beyond_repair());
            let faulty = beyond.map(|fault| fault.node).chain(plan.liars.iter().map(|(liar, _)| *liar));
            assert!(faulty.collect::<BTreeSet<_>>().len() <= 1, "one faulty node of four");
            let mut cases = FaultSet::none();
            plan.cases().into_iter().for_each(|(fault, number)| cases.add(fault, number));
            assert_eq!(plan.only(&cases), plan, "all cases together are the whole plan");
            assert_eq!(plan.only(&FaultSet::default()), plan);
        }
        assert_ne!(Plan::draw(1), Plan::draw(2));
    }

    #[test]
    fn a_one_way_partition_lets_the_other_way_through() {
        let side = [true, false, false, false, false, false, false];
        let mut cut = Partition { at_ms: 10, until_ms: 20, side, one_way: true };
        assert!(cut.blocks(10, 0, 1) && !cut.blocks(10, 1, 0) && !cut.blocks(10, 1, 2));
        assert!(!cut.blocks(9, 0, 1) && !cut.blocks(20, 0, 1));
        cut.one_way = false;
        assert!(cut.blocks(19, 0, 1) && cut.blocks(19, 1, 0) && !cut.blocks(19, 1, 2));
    }
}
