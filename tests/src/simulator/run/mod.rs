//! One run: a queue of events in virtual time, taken one by one, until every node holds everything or a rule is broken.

mod event;
mod injection;
mod outcome;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use yilian_node::application::reader::StoredBlock;
use yilian_spec::base::height::Height;
use yilian_spec::ledger::block::Header;
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::transaction::Transaction;

use super::checker::{Checker, Violation};
use super::consortium::{self, validator_key};
use super::frame::Frame;
use super::host::{Counts, Sabotage, Stopped};
use super::liars::{Behaviour, Liar};
use super::machine::{Machine, Sender};
use super::node::{Kept, Node};
use super::oracles::Oracles;
use super::plan::{DEADLINE_MS, FAULTS_END_MS, NODES, NODES_MAX, Plan, TRANSACTIONS, VALIDATORS};
use super::random::Random;
use super::replay::recompute;
use event::Event;

pub use outcome::{Cut, Failure, Options, Summary, Tally};

/// Events that a failure shows.
const TRACE_EVENTS: usize = 60;
const TICK_MS: u64 = 1_000;

struct Run {
    seed: u64,
    plan: Plan,
    genesis: Genesis,
    sabotage: Option<Sabotage>,
    cut: Option<Cut>,
    transactions: Vec<Transaction>,
    network: Random,
    clients: Random,
    power: Random,
    queue: BTreeMap<(u64, u64), Event>,
    now_ms: u64,
    nodes: Vec<Node>,
    liars: BTreeMap<usize, Box<dyn Liar>>,
    /// Nodes that may sign twice, because their disk forgets or they lie.
    may_sign_twice: BTreeSet<usize>,
    /// How long a node that is about to lose power stays down.
    down_ms: [u64; NODES_MAX],
    /// What a disk that forgets held when it began to.
    kept: BTreeMap<usize, Kept>,
    checker: Checker,
    oracles: Oracles,
    /// The last events; `None` where nobody will read them.
    trace: Option<VecDeque<String>>,
    sequence: u64,
    events: u64,
    tally: Tally,
    refusals: BTreeSet<String>,
    first_acts: Vec<u64>,
    /// The greatest height that was decided while faults lasted.
    faulty_top: Height,
    back_ms: Option<u64>,
    /// Until when each node waits for its disk.
    busy_until_ms: [u64; NODES_MAX],
}

/// Runs a seed with all faults, in memory.
///
/// # Errors
/// When a rule was broken.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Summary, Box<Failure>> {
    run_with(seed, &Options { sabotage, ..Options::default() })
}

/// Runs a seed.
///
/// # Errors
/// When a rule was broken.
pub fn run_with(seed: u64, options: &Options) -> Result<Summary, Box<Failure>> {
    let mut plan = Plan::draw(seed);
    if let Some((validator, behaviour)) = options.liar {
        plan = plan.with_liar(validator, behaviour, seed);
    }
    run_plan(seed, &plan.only(&options.faults), options)
}

/// Runs a plan; `seed` draws what the plan leaves open.
///
/// # Errors
/// When a rule was broken.
pub fn run_plan(seed: u64, plan: &Plan, options: &Options) -> Result<Summary, Box<Failure>> {
    let carry_out = |trace: Option<VecDeque<String>>| match Run::new(seed, plan, options, trace) {
        Ok(mut run) => {
            let result = run.carry_out();
            (result, run.trace.unwrap_or_default())
        }
        Err(violation) => (Err(violation), VecDeque::new()),
    };
    // Most runs fail in nothing, so only those that do are told, in a second run.
    let (result, _) = carry_out(None);
    result.map_err(|violation| {
        let (_, trace) = carry_out(Some(VecDeque::new()));
        Box::new(Failure { seed, violation, trace: trace.into(), narrowed: None })
    })
}

fn stopped(node: usize) -> impl Fn(Stopped) -> Violation {
    move |error| Violation::Stopped { node, reason: error.0 }
}

impl Run {
    fn new(
        seed: u64,
        plan: &Plan,
        options: &Options,
        trace: Option<VecDeque<String>>,
    ) -> Result<Self, Violation> {
        let genesis = consortium::genesis();
        let mut signing = Random::stream(seed, 2);
        let transactions = consortium::transactions(genesis.chain_id(), TRANSACTIONS, &mut signing);
        let oracles = Oracles::new(&genesis);
        // A validator with a twin is two nodes with one key.
        let is_twin = |(_, behaviour): &&(usize, Behaviour)| *behaviour == Behaviour::Twins;
        let twins = plan.liars.iter().filter(is_twin).map(|(validator, _)| Some(*validator));
        let votes_as = (0..NODES).map(|index| (index < VALIDATORS).then_some(index)).chain(twins);
        let nodes: Result<Vec<Node>, Violation> = votes_as
            .enumerate()
            .map(|(index, votes_as)| {
                let node = Node::new(index, votes_as, plan.skew_ms[index], options.backing);
                node.map_err(stopped(index))
            })
            .collect();
        let nodes = nodes?;
        let liars: BTreeMap<usize, Box<dyn Liar>> =
            (plan.liars.iter()).map(|(validator, behaviour)| (*validator, behaviour.liar(seed))).collect();
        let may_sign_twice = liars.keys().copied().chain(NODES..nodes.len()).collect();
        Ok(Self {
            seed,
            genesis,
            sabotage: options.sabotage,
            cut: options.cut,
            transactions,
            network: Random::stream(seed, 3),
            clients: Random::stream(seed, 4),
            power: Random::stream(seed, 5),
            queue: BTreeMap::new(),
            now_ms: 0,
            first_acts: vec![0; nodes.len()],
            faulty_top: Height(0),
            back_ms: None,
            nodes,
            liars,
            may_sign_twice,
            plan: plan.clone(),
            down_ms: [0; NODES_MAX],
            kept: BTreeMap::new(),
            checker: Checker::default(),
            oracles,
            trace,
            sequence: 0,
            events: 0,
            tally: Tally::default(),
            refusals: BTreeSet::new(),
            busy_until_ms: [0; NODES_MAX],
        })
    }

    /// The nodes whose disks and words count: all but the liars and their twins.
    fn honest(&self) -> Vec<usize> {
        (0..NODES).filter(|node| self.is_honest(*node)).collect()
    }

    fn is_honest(&self, node: usize) -> bool {
        node < NODES && !self.liars.contains_key(&node)
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
        for node in 0..self.nodes.len() {
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

    fn note(&mut self, text: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        if trace.len() == TRACE_EVENTS {
            trace.pop_front();
        }
        trace.push_back(format!("{:>7} ms  {}", self.now_ms, text()));
    }

    fn handle(&mut self, event: Event) -> Result<(), Violation> {
        if let Some(until_ms) = event.worker().map(|node| self.busy_until_ms[node])
            && until_ms > self.now_ms
        {
            self.at(until_ms, event);
            return Ok(());
        }
        match event {
            Event::Deliver { from, to, life, frame } => self.deliver(from, to, life, frame),
            Event::Timer { node, life, token } if self.lives(node, life) => {
                self.step(node, || "timer".to_owned(), |machine| machine.timer(token))
            }
            Event::Wake { node, life } if self.lives(node, life) => {
                self.step(node, || "wake".to_owned(), Machine::settle)
            }
            Event::Tick { node, life } if self.lives(node, life) => {
                self.at(self.now_ms + TICK_MS, Event::Tick { node, life });
                self.step(node, || "tick".to_owned(), Machine::tick)?;
                self.lie_unasked(node);
                Ok(())
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
                self.note(|| format!("the disk of node {}: {:?}", fault.node, fault.trouble));
                self.disk_fails(fault)
            }
            Event::DiskHeals { fault } => self.disk_heals(fault),
            Event::ClockJumps { jump } => {
                self.note(|| format!("the clock of node {} jumps to {} ms", jump.node, jump.skew_ms));
                self.nodes[jump.node].skew_ms = jump.skew_ms;
                Ok(())
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, life: u64, frame: Frame) -> Result<(), Violation> {
        // A connection does not outlive a process: what was on its way before a start tells nothing after it.
        if matches!(frame, Frame::Status(_)) && !self.lives(to, life) {
            return Ok(());
        }
        let Node { peer, institution, .. } = &self.nodes[from];
        let sender = Sender { index: from, peer: *peer, institution: institution.clone() };
        let name = frame.name();
        self.step(to, || format!("{name} from {from}"), |machine| machine.receive(&sender, frame))
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].machine.is_some() && self.nodes[node].life == life
    }

    /// Lets a node do something, and does what it wants done.
    fn step(
        &mut self,
        index: usize,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut Machine) -> Result<(), Stopped>,
    ) -> Result<(), Violation> {
        let before = self.trace.as_ref().map(|_| self.position(index));
        self.nodes[index].set_clock(self.now_ms);
        let Some(machine) = &mut self.nodes[index].machine else { return Ok(()) };
        let result = act(machine);
        if let Some(before) = before {
            let after = self.position(index);
            let moved = if before == after { String::new() } else { format!(" -> {after}") };
            self.note(|| format!("node {index} ({before}): {}{moved}", what()));
        }
        self.after_step(index)?;
        match result {
            Err(error) if self.nodes[index].machine.is_some() => self.node_stopped(index, error),
            // Its power went before it could stop by itself.
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn after_step(&mut self, index: usize) -> Result<(), Violation> {
        let delay_ms = self.nodes[index].disk.take_delay_ms();
        self.tally.slow_ms += delay_ms;
        self.busy_until_ms[index] = self.busy_until_ms[index].max(self.now_ms + delay_ms);
        self.judge(index)?;
        self.carry(index)?;
        if self.is_honest(index) {
            let next = self.checker.tip(index).next();
            match self.nodes[index].blocks(next) {
                Ok(blocks) => {
                    blocks.iter().try_for_each(|block| self.checker.committed(index, block))?;
                    blocks.iter().try_for_each(|block| self.check_proposer(index, block))?;
                }
                Err(error) => return self.node_stopped(index, error),
            }
            match self.oracles.follow(index, &self.nodes[index]) {
                Err(violation) if self.nodes[index].disk.has_noticed() => {
                    return self.node_stopped(index, Stopped(violation.to_string()));
                }
                followed => followed?,
            }
        }
        self.note_progress();
        if self.nodes[index].machine.as_ref().is_some_and(|machine| machine.host.power.is_gone()) {
            self.tally.crashes_within_a_step += 1;
            self.lose_power(index, self.down_ms[index])?;
        }
        self.vote_again(index)
    }

    /// Nobody can put its block under an honest validator's name.
    fn check_proposer(&self, node: usize, block: &StoredBlock) -> Result<(), Violation> {
        let Header { proposer, height, .. } = block.header;
        let named = (0..VALIDATORS).find(|validator| validator_key(*validator).public_key() == proposer);
        let lies = named.is_none_or(|validator| self.may_sign_twice.contains(&validator));
        // A sabotaged node commits what nobody proposed: that is for another rule to find.
        if lies || self.sabotage.is_some() || self.checker.proposed(proposer, height, block.header.id()) {
            return Ok(());
        }
        Err(Violation::Attributed { node, height, proposer })
    }

    /// How long it takes from the end of the faults to the next block.
    fn note_progress(&mut self) {
        if self.now_ms <= FAULTS_END_MS {
            self.faulty_top = self.checker.top();
        } else if self.back_ms.is_none() && self.checker.top() > self.faulty_top {
            self.back_ms = Some(self.now_ms - FAULTS_END_MS);
        }
    }

    /// What a node refuses or accuses must come from a liar.
    fn judge(&mut self, index: usize) -> Result<(), Violation> {
        let Some(machine) = &mut self.nodes[index].machine else { return Ok(()) };
        let refusals = std::mem::take(&mut machine.host.refusals);
        let signed_elsewhere = std::mem::take(&mut machine.host.signed_elsewhere);
        let findings = std::mem::take(&mut machine.host.participant.application_mut().findings);
        machine.host.counts.refused += (refusals.len() + findings.refused.len()) as u64;
        machine.host.counts.misbehaviour += findings.misbehaviour.len() as u64;
        if !self.is_honest(index) {
            return Ok(());
        }
        // A validator whose disk forgot what it had kept does not know what it signed.
        if let Some(height) = signed_elsewhere.first().filter(|_| !self.may_sign_twice.contains(&index)) {
            let reason = format!("its own signature at height {height}");
            return Err(Violation::Refused { node: index, reason });
        }
        for (from, reason) in refusals {
            if self.is_honest(from) {
                let reason = format!("what node {from} sent: {reason}");
                return Err(Violation::Refused { node: index, reason });
            }
            self.refusals.insert(reason);
        }
        let of = |key| (0..VALIDATORS).find(|validator| validator_key(*validator).public_key() == key);
        for refused in findings.refused {
            if of(refused.proposer).is_none_or(|validator| self.is_honest(validator)) {
                let reason = format!("the block of height {}: {}", refused.height, refused.reason);
                return Err(Violation::Refused { node: index, reason });
            }
            self.refusals.insert(refused.reason);
        }
        for seen in findings.misbehaviour {
            let validator = of(seen.validator);
            if validator.is_none_or(|validator| !self.may_sign_twice.contains(&validator)) {
                return Err(Violation::Accused {
                    node: index,
                    validator: seen.validator,
                    height: seen.height,
                });
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<(), Violation> {
        self.busy_until_ms[index] = self.now_ms;
        let power = self.power_of_next_life(index);
        if let Err(error) = self.nodes[index].start(&self.genesis, self.now_ms, power, self.sabotage) {
            return self.node_stopped(index, error);
        }
        let life = self.nodes[index].life;
        let position = self.position(index);
        self.note(|| format!("node {index} starts at {position}"));
        if self.is_honest(index) {
            match self.nodes[index].blocks(Height::FIRST) {
                Ok(blocks) => self.checker.restarted(index, &blocks)?,
                Err(error) => return self.node_stopped(index, error),
            }
        }
        // Spread over the second, so that not all nodes tick at once.
        let first = self.now_ms + TICK_MS * (index as u64 + 1) / (NODES_MAX as u64 + 1);
        self.at(first, Event::Tick { node: index, life });
        self.greet(index);
        self.after_step(index)
    }

    fn position(&self, index: usize) -> String {
        let machine = self.nodes[index].machine.as_ref();
        machine.map_or_else(|| "down".to_owned(), Machine::position)
    }

    fn positions(&self) -> String {
        let of = |index: usize| format!("node {index}: {}", self.position(index));
        let nodes: Vec<String> = (0..self.nodes.len()).map(of).collect();
        let committed = self.checker.transactions();
        format!("{committed} of {TRANSACTIONS} transactions committed; {}", nodes.join("; "))
    }

    /// Whether the faults have ended and every honest node holds every transaction.
    fn is_over(&self) -> bool {
        let top = self.checker.top();
        self.now_ms > FAULTS_END_MS
            && self.transactions.iter().all(|transaction| self.checker.is_settled(transaction))
            && self
                .honest()
                .into_iter()
                .all(|node| self.nodes[node].machine.is_some() && self.checker.tip(node) == top)
    }

    fn check_disks(&mut self) -> Result<(), Violation> {
        if let Some(Sabotage::ChangesAStoredRow { node }) = self.sabotage {
            self.nodes[node].change_a_row().map_err(stopped(node))?;
        }
        // One node is audited, another one in every run; the disks of the others are compared with its disk.
        let honest = self.honest();
        let audited = honest[(self.events % honest.len() as u64) as usize];
        if let Some(finding) = self.nodes[audited].audit().map_err(stopped(audited))? {
            return Err(Violation::Audit { node: audited, finding });
        }
        for index in honest {
            let difference = self.nodes[index].differs_from(&self.nodes[audited], &self.genesis.validators);
            if let Some(finding) = difference.map_err(stopped(index))? {
                return Err(Violation::Audit { node: index, finding });
            }
            let blocks = self.nodes[index].blocks(Height::FIRST).map_err(stopped(index))?;
            self.checker.restarted(index, &blocks)?;
            self.oracles.at_the_end(index, &self.nodes[index])?;
            if index == audited {
                let recomputed = recompute(&self.genesis, &blocks);
                recomputed.map_err(|difference| Violation::Recomputed { node: index, difference })?;
            }
        }
        Ok(())
    }

    fn summary(&mut self) -> Summary {
        let mut counts = Counts::default();
        for index in 0..self.nodes.len() {
            self.note_first_life(index);
            counts.add(self.nodes[index].counts);
            if let Some(machine) = &self.nodes[index].machine {
                counts.add(machine.host.counts);
            }
        }
        Summary {
            seed: self.seed,
            block_ids: self.checker.block_ids(),
            transactions: self.checker.transactions(),
            events: self.events,
            virtual_ms: self.now_ms,
            tally: self.tally,
            counts,
            refusals: self.refusals.iter().cloned().collect(),
            first_acts: self.first_acts.clone(),
            back_ms: self.back_ms,
            happened: self.oracles.happened(),
        }
    }
}
