//! One run: a queue of events in virtual time, taken one by one, until every node holds everything or a rule is broken.

use std::collections::{BTreeMap, VecDeque};

use yilian_spec::genesis::Genesis;
use yilian_spec::height::Height;
use yilian_spec::id::BlockId;
use yilian_spec::transaction::Transaction;

use super::checker::{Checker, Violation};
use super::consortium;
use super::disk::Backing;
use super::faults::FaultSet;
use super::frame::{Frame, Output};
use super::host::{Counts, Sabotage, Stopped};
use super::node::Node;
use super::oracles::{Happened, Oracles};
use super::plan::{
    ClockJump, Conditions, Crash, DEADLINE_MS, DiskFault, DiskTrouble, FAULTS_END_MS, NODES, POWER_OFF_MS,
    Plan, TRANSACTIONS, VALIDATORS,
};
use super::random::Random;
use super::replay::recompute;

/// Events that a failure shows.
const TRACE_EVENTS: usize = 60;
const TICK_MS: u64 = 1_000;
/// An operator starts a node again so long after its disk failed.
const RESTART_MS: u64 = 500;
/// A client submits again after so long without a commit.
const RETRY_MS: u64 = 2_500;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The ids of all blocks, from the first.
    pub block_ids: Vec<BlockId>,
    /// Transactions on the ledger.
    pub transactions: usize,
    /// Events processed.
    pub events: u64,
    /// Virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// Messages lost or cut off.
    pub lost: u64,
    /// Losses of power.
    pub crashes: u64,
    /// Losses of power in the middle of a step.
    pub crashes_within_a_step: u64,
    /// Losses of power in the middle of a batch.
    pub torn: u64,
    /// Stops for want of space.
    pub refused: u64,
    /// Virtual time that slow disks took, in milliseconds.
    pub slow_ms: u64,
    /// Disks lost.
    pub lost_disks: u64,
    /// Validators that lost their disk and vote again.
    pub votes_again: u64,
    /// What happened on the nodes.
    pub counts: Counts,
    /// What happened on the ledger.
    pub happened: Happened,
}

/// A run that broke a rule.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}: {violation}\nlast events:\n{}\nrepeat with `make sim SEED={seed}`", trace.join("\n"))]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// The rule.
    pub violation: Violation,
    /// The last events, oldest first.
    pub trace: Vec<String>,
}

#[derive(Debug)]
enum Event {
    /// `life` is that of the receiver when it was sent.
    Deliver {
        from: usize,
        to: usize,
        life: u64,
        frame: Frame,
    },
    Timer {
        node: usize,
        life: u64,
        token: u64,
    },
    Wake {
        node: usize,
        life: u64,
    },
    Tick {
        node: usize,
        life: u64,
    },
    Submit {
        transaction: usize,
        attempt: u32,
    },
    Crash {
        crash: Crash,
    },
    PowerOff {
        node: usize,
        life: u64,
        down_ms: u64,
    },
    Restart {
        node: usize,
    },
    DiskFails {
        fault: DiskFault,
    },
    DiskHeals {
        fault: DiskFault,
    },
    ClockJumps {
        jump: ClockJump,
    },
}

struct Run {
    plan: Plan,
    genesis: Genesis,
    sabotage: Option<Sabotage>,
    transactions: Vec<Transaction>,
    network: Random,
    clients: Random,
    power: Random,
    queue: BTreeMap<(u64, u64), Event>,
    now_ms: u64,
    nodes: Vec<Node>,
    /// How long a node that is about to lose power stays down.
    down_ms: [u64; NODES],
    checker: Checker,
    oracles: Oracles,
    trace: VecDeque<String>,
    sequence: u64,
    events: u64,
    lost: u64,
    crashes: u64,
    crashes_within_a_step: u64,
    torn: u64,
    refused: u64,
    slow_ms: u64,
    lost_disks: u64,
    votes_again: u64,
    /// Until when each node waits for its disk.
    busy_until_ms: [u64; NODES],
}

/// How a seed is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which rule a node is made to break.
    pub sabotage: Option<Sabotage>,
    /// Where the ledgers are kept.
    pub backing: Backing,
    /// What is injected.
    pub faults: FaultSet,
}

/// Runs a seed with all faults, in memory.
///
/// # Errors
/// When a rule was broken.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Summary, Box<Failure>> {
    run_with(seed, Options { sabotage, ..Options::default() })
}

/// Runs a seed.
///
/// # Errors
/// When a rule was broken.
pub fn run_with(seed: u64, options: Options) -> Result<Summary, Box<Failure>> {
    let mut trace = VecDeque::new();
    let result = Run::new(seed, options).and_then(|mut run| {
        let result = run.carry_out();
        trace = std::mem::take(&mut run.trace);
        result
    });
    result.map_err(|violation| Box::new(Failure { seed, violation, trace: trace.into() }))
}

fn stopped(node: usize) -> impl Fn(Stopped) -> Violation {
    move |error| Violation::Stopped { node, reason: error.0 }
}

impl Run {
    fn new(seed: u64, options: Options) -> Result<Self, Violation> {
        let Options { sabotage, backing, faults } = options;
        let plan = Plan::draw(seed, &faults);
        let genesis = consortium::genesis();
        let mut signing = Random::stream(seed, 2);
        let transactions = consortium::transactions(genesis.chain_id(), TRANSACTIONS, &mut signing);
        let oracles = Oracles::new(&genesis);
        let nodes: Result<Vec<Node>, Violation> = (0..NODES)
            .map(|index| Node::new(index, plan.skew_ms[index], backing).map_err(stopped(index)))
            .collect();
        Ok(Self {
            plan,
            genesis,
            sabotage,
            transactions,
            network: Random::stream(seed, 3),
            clients: Random::stream(seed, 4),
            power: Random::stream(seed, 5),
            queue: BTreeMap::new(),
            now_ms: 0,
            nodes: nodes?,
            down_ms: [0; NODES],
            checker: Checker::default(),
            oracles,
            trace: VecDeque::new(),
            sequence: 0,
            events: 0,
            lost: 0,
            crashes: 0,
            crashes_within_a_step: 0,
            lost_disks: 0,
            votes_again: 0,
            torn: 0,
            refused: 0,
            slow_ms: 0,
            busy_until_ms: [0; NODES],
        })
    }

    fn carry_out(&mut self) -> Result<Summary, Violation> {
        for crash in self.plan.crashes.clone() {
            self.at(crash.at_ms, Event::Crash { crash });
        }
        for fault in self.plan.disk_faults.clone() {
            self.at(fault.at_ms, Event::DiskFails { fault });
            self.at(fault.until_ms, Event::DiskHeals { fault });
        }
        for jump in self.plan.jumps.clone() {
            self.at(jump.at_ms, Event::ClockJumps { jump });
        }
        for (transaction, at_ms) in self.plan.submissions_ms.clone().into_iter().enumerate() {
            self.at(at_ms, Event::Submit { transaction, attempt: 0 });
        }
        for node in 0..NODES {
            self.start(node)?;
        }
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            self.events += 1;
            let tick = matches!(event, Event::Tick { .. });
            self.handle(event)?;
            if tick && self.is_over() {
                break;
            }
            if self.now_ms > DEADLINE_MS {
                return Err(Violation::NoProgress { state: self.positions() });
            }
        }
        self.check_disks()?;
        Ok(self.summary())
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    fn note(&mut self, text: String) {
        if self.trace.len() == TRACE_EVENTS {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>7} ms  {text}", self.now_ms));
    }

    /// The node that has to do something for an event, and waits for its disk meanwhile.
    fn waits(&self, event: &Event) -> Option<u64> {
        let node = match event {
            Event::Deliver { to, .. } => *to,
            Event::Timer { node, .. } | Event::Wake { node, .. } | Event::Tick { node, .. } => *node,
            _ => return None,
        };
        Some(self.busy_until_ms[node]).filter(|until_ms| *until_ms > self.now_ms)
    }

    fn handle(&mut self, event: Event) -> Result<(), Violation> {
        if let Some(until_ms) = self.waits(&event) {
            self.at(until_ms, event);
            return Ok(());
        }
        match event {
            Event::Deliver { from, to, life, frame } => {
                // A connection does not outlive a process: what was on its way before a start tells nothing after it.
                if matches!(frame, Frame::Status(_)) && from < VALIDATORS && self.lives(to, life) {
                    self.nodes[to].told.insert(from);
                }
                let peer = self.nodes[from].peer;
                let name = frame.name();
                self.step(
                    to,
                    || format!("{name} from {from}"),
                    |node| match &mut node.machine {
                        Some(machine) => machine.receive(from, peer, frame),
                        None => Ok(()),
                    },
                )
            }
            Event::Timer { node, life, token } if self.lives(node, life) => self.step(
                node,
                || "timer".to_owned(),
                |node| match &mut node.machine {
                    Some(machine) => machine.timer(token),
                    None => Ok(()),
                },
            ),
            Event::Wake { node, life } if self.lives(node, life) => self.step(
                node,
                || "wake".to_owned(),
                |node| match &mut node.machine {
                    Some(machine) => machine.settle(),
                    None => Ok(()),
                },
            ),
            Event::Tick { node, life } if self.lives(node, life) => {
                self.at(self.now_ms + TICK_MS, Event::Tick { node, life });
                self.step(
                    node,
                    || "tick".to_owned(),
                    |node| match &mut node.machine {
                        Some(machine) => machine.tick(),
                        None => Ok(()),
                    },
                )
            }
            Event::Timer { .. } | Event::Wake { .. } | Event::Tick { .. } => Ok(()),
            Event::Submit { transaction, attempt } => self.submit(transaction, attempt),
            Event::Crash { crash } => {
                self.crash(&crash);
                Ok(())
            }
            Event::PowerOff { node, life, down_ms } if self.lives(node, life) => {
                self.lose_power(node, down_ms)
            }
            Event::PowerOff { .. } => Ok(()),
            Event::Restart { node } => self.start(node),
            Event::DiskFails { fault } => {
                self.note(format!("the disk of node {}: {:?}", fault.node, fault.trouble));
                self.set_disk(fault, true)
            }
            Event::DiskHeals { fault } => self.set_disk(fault, false),
            Event::ClockJumps { jump } => {
                self.note(format!("the clock of node {} jumps to {} ms", jump.node, jump.skew_ms));
                self.nodes[jump.node].skew_ms = jump.skew_ms;
                Ok(())
            }
        }
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].machine.is_some() && self.nodes[node].life == life
    }

    /// Lets a node do something, and does what it wants done.
    fn step(
        &mut self,
        index: usize,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut Node) -> Result<(), Stopped>,
    ) -> Result<(), Violation> {
        if self.nodes[index].machine.is_none() {
            return Ok(());
        }
        let before = self.position(index);
        let what = what();
        self.nodes[index].set_clock(self.now_ms);
        let result = act(&mut self.nodes[index]);
        let after = self.position(index);
        let moved = if before == after { String::new() } else { format!(" -> {after}") };
        self.note(format!("node {index} ({before}): {what}{moved}"));
        self.after_step(index)?;
        match result {
            Err(error) if self.nodes[index].machine.is_some() => self.disk_failed(index, error),
            // Its power went before it could stop by itself.
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn set_disk(&mut self, fault: DiskFault, fails: bool) -> Result<(), Violation> {
        let disk = &self.nodes[fault.node].disk;
        match fault.trouble {
            DiskTrouble::Torn { after } => disk.tear_after(fails.then_some(after)),
            DiskTrouble::Full => disk.set_full(fails),
            DiskTrouble::Slow { ms_per_write } => disk.set_delay(if fails { ms_per_write } else { 0 }),
            DiskTrouble::Lost if fails => return self.lose_disk(fault.node, fault.until_ms),
            DiskTrouble::Lost => {}
        }
        Ok(())
    }

    fn lose_disk(&mut self, index: usize, until_ms: u64) -> Result<(), Violation> {
        let ran = self.nodes[index].machine.is_some();
        self.lost_disks += 1;
        self.nodes[index].lose_disk().map_err(stopped(index))?;
        self.checker.lost_disk(index);
        if ran {
            self.at(until_ms, Event::Restart { node: index });
        }
        Ok(())
    }

    /// A validator that has passed every height at which it may have voted starts again with its key.
    fn vote_again(&mut self, index: usize) -> Result<(), Violation> {
        if !self.nodes[index].may_vote_again(self.checker.tip(index)) {
            return Ok(());
        }
        self.note(format!("node {index} votes again"));
        self.votes_again += 1;
        self.nodes[index].abstains = None;
        self.lose_power(index, 0)
    }

    /// A node has stopped: if its disk was made to fail it is started again, otherwise it must not have.
    fn disk_failed(&mut self, index: usize, error: Stopped) -> Result<(), Violation> {
        let disk = &self.nodes[index].disk;
        let (torn, refused) = (disk.take_torn(), disk.take_refused());
        self.torn += u64::from(torn);
        self.refused += u64::from(refused);
        if !torn && !refused {
            return Err(stopped(index)(error));
        }
        self.note(format!("node {index} stopped: {error}"));
        self.lose_power(index, RESTART_MS)
    }

    fn after_step(&mut self, index: usize) -> Result<(), Violation> {
        let delay_ms = self.nodes[index].disk.take_delay_ms();
        self.slow_ms += delay_ms;
        self.busy_until_ms[index] = self.busy_until_ms[index].max(self.now_ms + delay_ms);
        self.carry(index)?;
        let next = self.checker.tip(index).next();
        for block in self.nodes[index].blocks(next).map_err(stopped(index))? {
            self.checker.committed(index, &block)?;
        }
        self.oracles.follow(index, &self.nodes[index])?;
        if self.nodes[index].machine.as_ref().is_some_and(|machine| machine.host.dead) {
            self.crashes_within_a_step += 1;
            self.lose_power(index, self.down_ms[index])?;
        }
        self.vote_again(index)
    }

    /// Does what a node wants sent and waited for.
    fn carry(&mut self, index: usize) -> Result<(), Violation> {
        let life = self.nodes[index].life;
        let Some(machine) = &mut self.nodes[index].machine else { return Ok(()) };
        for output in std::mem::take(&mut machine.host.outputs) {
            match output {
                Output::Broadcast(frame) => {
                    if let Some(message) = frame.signed() {
                        self.checker.sent(index, &message)?;
                    }
                    for to in (0..NODES).filter(|to| *to != index) {
                        self.transmit(index, to, frame.clone());
                    }
                }
                Output::Send { to, frame } => self.transmit(index, to, frame),
                Output::Timer { at_ms, token } => self.at(at_ms, Event::Timer { node: index, life, token }),
                Output::Wake { at_ms } => self.at(at_ms, Event::Wake { node: index, life }),
            }
        }
        Ok(())
    }

    fn transmit(&mut self, from: usize, to: usize, frame: Frame) {
        let faulty = self.now_ms < FAULTS_END_MS;
        let cut = self.plan.partitions.iter().any(|cut| cut.blocks(self.now_ms, from, to));
        let Conditions { loss_per_mille, duplication_per_mille, delay_ms_min, delay_ms_max } =
            self.plan.conditions;
        // Drawn in any case, so that the network's stream does not depend on what it does.
        let lost = self.network.chance(loss_per_mille) && faulty;
        let doubled = self.network.chance(duplication_per_mille) && faulty;
        let delays = [
            self.network.between(delay_ms_min, delay_ms_max),
            self.network.between(delay_ms_min, delay_ms_max),
        ];
        if cut || lost {
            self.lost += 1;
            return;
        }
        // What a slow disk holds up leaves when it is done.
        let life = self.nodes[to].life;
        let sent_ms = self.now_ms.max(self.busy_until_ms[from]);
        if doubled {
            self.at(sent_ms + delays[1], Event::Deliver { from, to, life, frame: frame.clone() });
        }
        self.at(sent_ms + delays[0], Event::Deliver { from, to, life, frame });
    }

    /// A client submits a transaction, again and again to one node or another until it is committed; some clients then
    /// submit it once more.
    fn submit(&mut self, number: usize, attempt: u32) -> Result<(), Violation> {
        let transaction = self.transactions[number].clone();
        let committed = self.checker.holds(&transaction.id());
        let index = self.clients.position(NODES);
        let repeats = self.clients.chance(300);
        if !committed || (repeats && attempt < 100) {
            // An attempt of 100 or more is a repetition of what is committed, and the last one.
            let attempt = if committed { 100 } else { attempt + 1 };
            self.at(self.now_ms + RETRY_MS, Event::Submit { transaction: number, attempt });
        }
        let mut refusal = None;
        self.step(
            index,
            || format!("transaction {number} submitted"),
            |node| {
                let Some(machine) = &mut node.machine else { return Ok(()) };
                let verdict = machine.host.mempool.submit_now(vec![transaction]).pop();
                if let Some(Err(rejection)) = verdict {
                    refusal = Some(rejection.to_string());
                }
                machine.settle()
            },
        )?;
        match refusal {
            Some(reason) => Err(Violation::Refused { node: index, reason }),
            None => Ok(()),
        }
    }

    fn crash(&mut self, crash: &Crash) {
        let index = crash.node;
        let Some(machine) = &mut self.nodes[index].machine else { return };
        if machine.host.acts_left.is_some() {
            return;
        }
        machine.host.acts_left = Some(crash.after_acts);
        self.down_ms[index] = crash.down_ms;
        let life = self.nodes[index].life;
        self.note(format!("node {index} will lose power after {} acts", crash.after_acts));
        let event = Event::PowerOff { node: index, life, down_ms: crash.down_ms };
        self.at(self.now_ms + POWER_OFF_MS, event);
    }

    fn lose_power(&mut self, index: usize, down_ms: u64) -> Result<(), Violation> {
        self.crashes += 1;
        let up_again_ms = (self.now_ms + down_ms).min(FAULTS_END_MS.max(self.now_ms));
        self.note(format!("node {index} loses power until {up_again_ms} ms"));
        self.nodes[index].lose_power(&mut self.power, self.sabotage).map_err(stopped(index))?;
        self.at(up_again_ms, Event::Restart { node: index });
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<(), Violation> {
        let sabotage = self.sabotage;
        let node = &mut self.nodes[index];
        self.busy_until_ms[index] = self.now_ms;
        if let Err(error) = node.start(&self.genesis, self.now_ms, sabotage) {
            return self.disk_failed(index, error);
        }
        let node = &self.nodes[index];
        let life = node.life;
        let position = self.position(index);
        self.note(format!("node {index} starts at {position}"));
        let blocks = self.nodes[index].blocks(Height::FIRST).map_err(stopped(index))?;
        self.checker.restarted(index, &blocks)?;
        // Spread over the second, so that not all nodes tick at once.
        let first = self.now_ms + TICK_MS * (index as u64 + 1) / (NODES as u64 + 1);
        self.at(first, Event::Tick { node: index, life });
        self.after_step(index)
    }

    fn position(&self, index: usize) -> String {
        let machine = self.nodes[index].machine.as_ref();
        machine.map_or_else(|| "down".to_owned(), |machine| machine.position())
    }

    fn positions(&self) -> String {
        let of = |index: usize| format!("node {index}: {}", self.position(index));
        let nodes: Vec<String> = (0..NODES).map(of).collect();
        let committed = self.checker.transactions();
        format!("{committed} of {TRANSACTIONS} transactions committed; {}", nodes.join("; "))
    }

    /// Whether the faults have ended and every node holds every transaction.
    fn is_over(&self) -> bool {
        let top = self.checker.top();
        self.now_ms > FAULTS_END_MS
            && self.checker.transactions() == TRANSACTIONS
            && (0..NODES).all(|node| self.nodes[node].machine.is_some() && self.checker.tip(node) == top)
    }

    fn check_disks(&mut self) -> Result<(), Violation> {
        if let Some(Sabotage::ChangesAStoredRow { node }) = self.sabotage {
            self.nodes[node].change_a_row().map_err(stopped(node))?;
        }
        // One node is audited, another one in every run; the disks of the others are compared with its disk.
        let audited = (self.events % NODES as u64) as usize;
        if let Some(finding) = self.nodes[audited].audit().map_err(stopped(audited))? {
            return Err(Violation::Audit { node: audited, finding });
        }
        for index in 0..NODES {
            let difference = self.nodes[index].differs_from(&self.nodes[audited], &self.genesis.validators);
            if let Some(finding) = difference.map_err(stopped(index))? {
                return Err(Violation::Audit { node: index, finding });
            }
            let blocks = self.nodes[index].blocks(Height::FIRST).map_err(stopped(index))?;
            self.checker.restarted(index, &blocks)?;
            self.oracles.at_the_end(index, &self.nodes[index])?;
            if index == 0 {
                let recomputed = recompute(&self.genesis, &blocks);
                recomputed.map_err(|difference| Violation::Recomputed { node: index, difference })?;
            }
        }
        Ok(())
    }

    fn summary(&self) -> Summary {
        let mut counts = Counts::default();
        for node in &self.nodes {
            counts.add(node.counts);
            if let Some(machine) = &node.machine {
                counts.add(machine.host.counts);
            }
        }
        Summary {
            block_ids: self.checker.block_ids(),
            transactions: self.checker.transactions(),
            events: self.events,
            virtual_ms: self.now_ms,
            lost: self.lost,
            crashes: self.crashes,
            crashes_within_a_step: self.crashes_within_a_step,
            lost_disks: self.lost_disks,
            votes_again: self.votes_again,
            torn: self.torn,
            refused: self.refused,
            slow_ms: self.slow_ms,
            counts,
            happened: self.oracles.happened(),
        }
    }
}
