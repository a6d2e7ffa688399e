//! From resources as they were read to resources that know each other: versions are sorted out, references followed.

use std::collections::{BTreeMap, BTreeSet};

use super::address::Link;
use super::collect::{Benefit, Claim, Collected, Encounter, Gathered, Record};
use super::index::{Entity, Index};
use super::payer::Payers;
use super::raw::{Answer, Bill, Content, Seen, Visit};
use super::skip::{Note, Reason, Skips};

/// Puts what was gathered into `all`.
pub fn into(all: &mut Collected, gathered: Gathered) {
    let Gathered { seen, resources, skips } = gathered;
    all.resources = resources;
    all.skips = skips;
    let mut index = Index::default();
    let counted = versions(seen, &mut index, &mut all.skips);
    for one in &counted {
        index.add(&entity(one), one.address.as_deref(), one.scope, queries(&one.content));
        links(&one.content).into_iter().for_each(|link| index.mention(link));
    }
    let mut resolver = Resolver { index: &index, all, payers: Payers::default(), roles: BTreeMap::new() };
    // Those that others lean on come first.
    let (first, then): (Vec<Seen>, Vec<Seen>) =
        counted.into_iter().partition(|one| is_leaned_on(&one.content));
    first.into_iter().chain(then).for_each(|one| resolver.keep(one));
}

fn is_leaned_on(content: &Content) -> bool {
    match content {
        Content::Patient { .. }
        | Content::Organization { .. }
        | Content::Practitioner
        | Content::Role { .. }
        | Content::Coverage(_) => true,
        Content::Encounter(_)
        | Content::Claim(_)
        | Content::Benefit(_)
        | Content::Record { .. }
        | Content::LeftOut(_) => false,
    }
}

fn entity(one: &Seen) -> Entity {
    (one.kind.clone(), one.base.clone(), one.id.clone())
}

fn queries(content: &Content) -> &[Box<str>] {
    match content {
        Content::Patient { queries } | Content::Organization { queries, .. } => queries,
        Content::Practitioner
        | Content::Role { .. }
        | Content::Coverage(_)
        | Content::Encounter(_)
        | Content::Claim(_)
        | Content::Benefit(_)
        | Content::Record { .. }
        | Content::LeftOut(_) => &[],
    }
}

fn links(content: &Content) -> Vec<&Link> {
    match content {
        Content::Patient { .. }
        | Content::Organization { .. }
        | Content::Practitioner
        | Content::LeftOut(_) => Vec::new(),
        Content::Role { organization } => organization.iter().collect(),
        Content::Coverage(insurance) => {
            insurance.payers.iter().filter_map(|(link, _)| link.as_ref()).collect()
        }
        Content::Encounter(visit) => vec![&visit.patient, &visit.organization],
        Content::Claim(bill) => {
            let contained = bill.coverage.contained.iter().flat_map(|insurance| &insurance.payers);
            let payers = contained.filter_map(|(link, _)| link.as_ref());
            bill.provider.iter().chain(&bill.encounters).chain(&bill.coverage.link).chain(payers).collect()
        }
        Content::Benefit(answer) => vec![&answer.claim],
        Content::Record { encounter, .. } => vec![encounter],
    }
}

/// One of each resource: the first of those that are the same, the latest of those that differ. Where nothing says which
/// is the latest, none counts.
fn versions(seen: Vec<Seen>, index: &mut Index, skips: &mut Skips) -> Vec<Seen> {
    let mut groups: BTreeMap<Entity, Vec<Seen>> = BTreeMap::new();
    for one in seen {
        groups.entry(entity(&one)).or_default().push(one);
    }
    let mut counted: BTreeMap<Entity, Seen> = BTreeMap::new();
    for (entity, group) in groups {
        group.iter().for_each(|one| index.address(&entity, one.address.as_deref(), one.scope));
        let mut different: Vec<Seen> = Vec::new();
        for one in group {
            if different.iter().any(|other| other.digest == one.digest) {
                skips.add(&one.kind, Reason::Repeated, &one.place);
            } else {
                different.push(one);
            }
        }
        let latest = latest(&different);
        if latest.is_none() {
            index.contradict(&entity);
        }
        for (number, one) in different.into_iter().enumerate() {
            match latest {
                Some(latest) if latest == number => _ = counted.insert(entity.clone(), one),
                Some(_) => skips.add(&one.kind, Reason::Superseded, &one.place),
                None => skips.add(&one.kind, Reason::Contradicted, &one.place),
            }
        }
    }
    let has_twin = |(kind, base, id): &Entity, one: &Seen| {
        let twin = counted.get(&(kind.clone(), None, id.clone()));
        base.is_some() && twin.is_some_and(|twin| twin.digest == one.digest)
    };
    let twins: BTreeSet<Entity> = counted
        .iter()
        .filter(|(entity, one)| has_twin(entity, one))
        .map(|(entity, _)| entity.clone())
        .collect();
    for entity in &twins {
        index.merge(entity);
    }
    let (twins, counted): (Vec<_>, Vec<_>) =
        counted.into_iter().partition(|(entity, _)| twins.contains(entity));
    twins.iter().for_each(|(_, one)| skips.add(&one.kind, Reason::Repeated, &one.place));
    counted.into_iter().map(|(_, one)| one).collect()
}

/// The place of the only one, or of the one that was changed after all others.
fn latest(different: &[Seen]) -> Option<usize> {
    let is_last = |number: &usize| {
        different.iter().enumerate().all(|(other, one)| {
            let before = one.updated.zip(different[*number].updated);
            other == *number || before.is_some_and(|(before, after)| before.is_before(&after))
        })
    };
    (0..different.len()).find(is_last)
}

struct Resolver<'a> {
    index: &'a Index,
    all: &'a mut Collected,
    payers: Payers,
    /// The organisations of people's parts.
    roles: BTreeMap<String, Option<Link>>,
}

impl Resolver<'_> {
    fn keep(&mut self, one: Seen) {
        let name = self.index.name(&entity(&one));
        let kept = name.and_then(|name| self.keep_as(name, &one));
        if let Err(reason) = kept {
            self.all.skips.add(&one.kind, reason, &one.place);
        }
    }

    fn keep_as(&mut self, name: String, one: &Seen) -> Result<(), Reason> {
        match &one.content {
            Content::Patient { .. } => _ = self.all.patients.insert(name),
            Content::Organization { name: called, .. } => {
                let organization = self.all.organizations.entry(name).or_default();
                organization.name.clone_from(called);
                organization.is_read = true;
            }
            Content::Practitioner => {}
            Content::Role { organization } => _ = self.roles.insert(name, organization.clone()),
            Content::Coverage(insurance) => self.payers.add(name, insurance.clone()),
            Content::Encounter(visit) => self.keep_encounter(name, visit, one)?,
            Content::Claim(bill) => self.keep_claim(name, bill, one)?,
            Content::Benefit(answer) => self.keep_benefit(answer, one)?,
            Content::Record { category, encounter } => {
                let encounter = self.follow(encounter, "Encounter")?;
                let record = Record { category: *category, digest: one.digest, place: one.place.clone() };
                let records = self.all.records.entry(encounter).or_default();
                records.insert(format!("{}/{name}", one.kind), record);
            }
            Content::LeftOut(reason) => {
                if &*one.kind == "Claim" {
                    self.all.claims_left_out.insert(name, one.place.clone());
                }
                return Err(*reason);
            }
        }
        Ok(())
    }

    /// What a reference to a resource of one type means.
    fn follow(&self, link: &Link, kind: &str) -> Result<String, Reason> {
        let meant = self.index.follow(link, &[kind])?;
        if &*meant.kind == kind { Ok(meant.name) } else { Err(Reason::OtherKind) }
    }

    /// An organisation that something refers to.
    fn organization(&mut self, name: &str, called: Option<&String>) {
        let organization = self.all.organizations.entry(name.to_owned()).or_default();
        if let Some(called) = called.filter(|_| organization.name.is_empty()) {
            organization.name.clone_from(called);
        }
    }

    fn keep_encounter(&mut self, name: String, visit: &Visit, one: &Seen) -> Result<(), Reason> {
        let patient = self.follow(&visit.patient, "Patient")?;
        let organization = self.follow(&visit.organization, "Organization")?;
        self.organization(&organization, visit.organization_name.as_ref());
        let (digest, place) = (one.digest, one.place.clone());
        let Visit { start, service, .. } = *visit;
        self.all.encounters.insert(name, Encounter { patient, organization, start, service, digest, place });
        Ok(())
    }

    /// Who claims: an organisation, or a person, who may act for one.
    fn provider(&self, link: &Link) -> Result<Option<String>, Reason> {
        let meant = self.index.follow(link, &["Organization", "Practitioner", "PractitionerRole"])?;
        match &*meant.kind {
            "Organization" => Ok(Some(meant.name)),
            "Practitioner" => Ok(None),
            "PractitionerRole" => match self.roles.get(&meant.name) {
                Some(Some(link)) => self.follow(link, "Organization").map(Some),
                Some(None) | None => Ok(None),
            },
            _ => Err(Reason::OtherKind),
        }
    }

    fn keep_claim(&mut self, name: String, bill: &Bill, one: &Seen) -> Result<(), Reason> {
        let organization = bill.provider.as_ref().map(|link| self.provider(link)).transpose()?.flatten();
        let encounters: Result<Vec<String>, Reason> =
            bill.encounters.iter().map(|link| self.follow(link, "Encounter")).collect();
        let encounters = encounters?;
        let coverage = self.payers.of(&bill.coverage, self.index, &self.all.organizations)?;
        if let Some(organization) = &organization {
            self.organization(organization, bill.provider_name.as_ref());
        }
        let (digest, place) = (one.digest, one.place.clone());
        let Bill { service, performed, total, .. } = *bill;
        let claim = Claim { organization, encounters, service, performed, coverage, total, digest, place };
        self.all.claims.insert(name, claim);
        Ok(())
    }

    fn keep_benefit(&mut self, answer: &Answer, one: &Seen) -> Result<(), Reason> {
        let claim = self.follow(&answer.claim, "Claim")?;
        let Answer { created, payment, has_unfit_payment, .. } = *answer;
        let (digest, place) = (one.digest, one.place.clone());
        let new = Benefit { created, payment, has_unfit_payment, digest, place };
        let Some(old) = self.all.benefits.get_mut(&claim) else {
            self.all.benefits.insert(claim, new);
            return Ok(());
        };
        // Of several answers to one claim the latest counts; where that is not clear, one that does not depend on the
        // order of the files, and it is said.
        let is_clear = match (old.created, new.created) {
            (Some(old), Some(new)) => old.is_before(&new) || new.is_before(&old),
            (old, new) => old != new,
        };
        let rank = |benefit: &Benefit| (benefit.created.map(|at| at.sort_key()), benefit.digest);
        let amount = |benefit: &Benefit| benefit.payment.map(|payment| (payment.currency, payment.minor));
        let is_of_weight = amount(&new) != amount(old);
        let older = if rank(&new) > rank(old) { std::mem::replace(old, new) } else { new };
        if !is_clear && is_of_weight {
            self.all.notes.add("ExplanationOfBenefit", Note::LatestUnclear, &older.place);
        }
        self.all.skips.add("ExplanationOfBenefit", Reason::Superseded, &older.place);
        Ok(())
    }
}
