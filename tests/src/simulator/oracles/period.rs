//! One agreement's periods in plain integers: what each has counted, posted and settled, and the rows that must hold it.

use std::collections::BTreeMap;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, Hash, ServiceCode, ServiceId};
use yilian_spec::base::money::AmountMinor;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::domain::agreement::{ClosedPeriod, PeriodStatement};
use yilian_spec::settlement::PartyIndex;
use yilian_spec::settlement::evaluate::{Figure, FigureValue};
use yilian_spec::settlement::period::{MetricSum, PartPlayed, PartVolume, Tally, Volume};
use yilian_spec::settlement::statement::{Line, LineKind, Share, Statement};
use yilian_spec::settlement::terms::Terms;
use yilian_spec::state::key::StreamId;

use super::streams::Streams;
use super::terms::{Event, Simple};

/// A service that a period has counted.
pub struct Counted {
    /// The service.
    pub event: Event,
    /// The period that was open when it was reversed.
    pub reversed_in: Option<u32>,
}

/// What a party did and is owed, in minor units.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    count: i128,
    gross: i128,
    amount: i128,
}

/// One period.
#[derive(Default)]
pub struct Period {
    /// What it has counted.
    pub counted: Vec<Counted>,
    /// What reversals in earlier periods have posted to it, by period.
    posted: BTreeMap<u32, Vec<Sums>>,
    /// What is settled of it; `None` while it is open.
    settled: Option<Vec<Sums>>,
}

/// One agreement.
pub struct Book {
    terms: Terms,
    /// What its terms say.
    pub simple: Simple,
    periods: BTreeMap<u32, Period>,
}

/// The rows that a closing leaves.
pub struct Closing {
    /// The closed period.
    pub closed_period: Vec<u8>,
    /// Its statement.
    pub statement: Vec<u8>,
    /// Whether somebody is owed something.
    pub has_amounts: bool,
}

/// The sums of a period as its row holds them: services, parts, metrics, split, adjustments (rule T-15).
type Accumulated = (
    BTreeMap<ServiceCode, Volume>,
    Vec<PartVolume>,
    Vec<MetricSum>,
    Vec<AmountMinor>,
    BTreeMap<u32, Vec<Share>>,
);

impl Book {
    /// An agreement under which nothing was counted.
    pub fn new(terms: &Terms, simple: Simple) -> Self {
        Self { terms: terms.clone(), simple, periods: BTreeMap::new() }
    }

    /// A period, open or closed.
    pub fn period(&mut self, number: u32) -> &mut Period {
        self.periods.entry(number).or_default()
    }

    /// A service that `period` has counted is reversed while `open` is open: where that is a later one, it gets the
    /// difference between what is settled and what would be now (rule T-19).
    pub fn reverse(&mut self, id: ServiceId, period: u32, open: u32) {
        let counted = &mut self.period(period).counted;
        for service in counted.iter_mut().filter(|service| service.event.id == id) {
            service.reversed_in = Some(open);
        }
        if period == open {
            return;
        }
        let now = self.owed(period);
        let before = self.period(period).settled.replace(now.clone()).unwrap_or_default();
        let posted = self.period(open).posted.entry(period).or_default();
        posted.resize(now.len(), Sums::default());
        for ((sum, now), before) in posted.iter_mut().zip(now).zip(before) {
            sum.count += now.count - before.count;
            sum.gross += now.gross - before.gross;
            sum.amount += now.amount - before.amount;
        }
    }

    /// What each party did in a period and is owed for it, without what was reversed.
    fn owed(&self, number: u32) -> Vec<Sums> {
        let counted = self.periods.get(&number).map_or(&[][..], |period| &period.counted);
        let kept: Vec<&Event> = counted
            .iter()
            .filter(|service| service.reversed_in.is_none())
            .map(|service| &service.event)
            .collect();
        let mut owed: Vec<Sums> =
            self.simple.amounts(&kept).into_iter().map(|amount| Sums { amount, ..Sums::default() }).collect();
        for event in kept {
            for (party, _) in &event.parts {
                owed[*party].count += 1;
                owed[*party].gross += event.gross;
            }
        }
        owed
    }

    /// Closes a period.
    pub fn close(
        &mut self,
        id: AgreementId,
        number: u32,
        began: LedgerTime,
        closed: LedgerTime,
        streams: &Streams,
    ) -> Closing {
        let owed = self.owed(number);
        let mut lines = lines_of(LineKind::Earned, &owed);
        for (period, sums) in &self.period(number).posted {
            let posted = lines_of(LineKind::Adjustment { period: *period }, sums);
            lines.extend(posted.into_iter().filter(|line| line.share != Share::default()));
        }
        let has_amounts = lines.iter().any(|line| line.share.amount_minor != AmountMinor::ZERO);
        let statement = Statement {
            currency: self.terms.currency,
            payer: self.terms.payer,
            services: self.accumulated(number).0,
            figures: self.figures(&owed),
            lines,
        };
        self.period(number).settled = Some(owed);
        let statement = PeriodStatement { agreement: id, period: number, began, closed, statement };
        let (events, root) = streams.summary(&StreamId::Period { agreement: id, period: number });
        let closed_period = ClosedPeriod {
            began,
            closed,
            events,
            events_root: Hash(root),
            statement_hash: codec::hash(Domain::Statement, &statement),
        };
        let (statement, closed_period) = (codec::encode(&statement), codec::encode(&closed_period));
        Closing { closed_period, statement, has_amounts }
    }

    fn figures(&self, owed: &[Sums]) -> Vec<Figure> {
        match &self.simple {
            Simple::Split { per_event: false, figure, .. } => {
                let values = owed.iter().map(|sums| narrow(sums.amount)).collect();
                vec![Figure { name: figure.clone(), value: FigureValue::PerParty { values } }]
            }
            Simple::Split { .. } | Simple::FixedPrice { .. } => Vec::new(),
        }
    }

    /// The row of an open period.
    pub fn open_row(&self, number: u32) -> Vec<u8> {
        codec::encode(&self.accumulated(number))
    }

    /// The row of what a closed period has settled: its number, its sums, and the settled shares.
    pub fn settled_row(&self, number: u32) -> Vec<u8> {
        let settled = self.periods.get(&number).and_then(|period| period.settled.as_ref());
        let shares: Vec<Share> = settled.into_iter().flatten().map(Sums::share).collect();
        codec::encode(&(number, self.accumulated(number), shares))
    }

    /// What is to be settled in all closed periods together: what each service is worth that counts in one of them,
    /// unless a closed period took it back.
    pub fn worth_settled(&self) -> i128 {
        let is_closed = |number: &u32| self.periods.get(number).is_some_and(|one| one.settled.is_some());
        let closed = self.periods.iter().filter(|(number, _)| is_closed(number));
        let counted = closed.flat_map(|(_, period)| &period.counted);
        let kept = counted.filter(|service| !service.reversed_in.as_ref().is_some_and(is_closed));
        kept.map(|service| self.simple.worth(&service.event)).sum()
    }

    fn accumulated(&self, number: u32) -> Accumulated {
        let mut services: BTreeMap<ServiceCode, Volume> = BTreeMap::new();
        let mut parts: BTreeMap<(ServiceCode, PartPlayed), Volume> = BTreeMap::new();
        let Some(period) = self.periods.get(&number) else { return Accumulated::default() };
        for service in &period.counted {
            let event = &service.event;
            add(services.entry(event.code.clone()).or_default(), service);
            for (party, role) in &event.parts {
                let played = PartPlayed { party: party_index(*party), role: *role };
                add(parts.entry((event.code.clone(), played)).or_default(), service);
            }
        }
        let parts =
            parts.into_iter().map(|((service, played), volume)| PartVolume { service, played, volume });
        let splits_events = matches!(self.simple, Simple::Split { per_event: true, .. });
        let split = if splits_events && !period.counted.is_empty() {
            self.owed(number).iter().map(|sums| AmountMinor(narrow(sums.amount))).collect()
        } else {
            Vec::new()
        };
        let posted = period.posted.iter();
        let posted = posted.map(|(period, sums)| (*period, sums.iter().map(Sums::share).collect()));
        (services, parts.collect(), Vec::new(), split, posted.collect())
    }
}

impl Sums {
    fn share(&self) -> Share {
        Share {
            count: narrow(self.count),
            gross_minor: AmountMinor(narrow(self.gross)),
            amount_minor: AmountMinor(narrow(self.amount)),
        }
    }
}

fn add(volume: &mut Volume, service: &Counted) {
    let count_into = |tally: &mut Tally| {
        tally.count += 1;
        tally.gross_minor = AmountMinor(narrow(i128::from(tally.gross_minor.0) + service.event.gross));
    };
    count_into(&mut volume.delivered);
    if service.reversed_in.is_some() {
        count_into(&mut volume.reversed);
    }
}

fn lines_of(kind: LineKind, sums: &[Sums]) -> Vec<Line> {
    let line = |(party, sums): (usize, &Sums)| Line { party: party_index(party), kind, share: sums.share() };
    sums.iter().enumerate().map(line).collect()
}

fn party_index(party: usize) -> PartyIndex {
    PartyIndex(u8::try_from(party).unwrap_or(u8::MAX))
}

/// An amount as a row holds it. The simulated amounts are small; one that did not fit would stand in no row.
fn narrow(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
