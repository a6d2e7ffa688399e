//! Which resource a reference means: by base, type and id, by another address, or by an identifier.
//!
//! A resource is called by its id alone where that is clear, else by its whole address. It is clear where the whole input
//! names at most one base for the type and id, and no two resources of them differ: then what has a base and what has none
//! are the same. What could mean several is ambiguous, and refused.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{Base, Link, Target, is_id};
use super::skip::Reason;

/// A resource by base, type and id.
pub type Entity = (Box<str>, Base, Box<str>);

/// Type and id, or type and search.
type Key = (Box<str>, Box<str>);

/// What a reference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The type.
    pub kind: Box<str>,
    /// What the resource is called, read or not.
    pub name: String,
}

/// The resources that were read, and every base that something names.
#[derive(Debug, Default)]
pub struct Index {
    /// The bases of the resources that were read, by type and id; those without one stand first.
    read: BTreeMap<Key, BTreeSet<Base>>,
    /// The bases that resources or references name.
    named: BTreeMap<Key, BTreeSet<Box<str>>>,
    /// Resources that were read with a base, and are the same as one without.
    merged: BTreeSet<Entity>,
    /// Resources by their other addresses, with the bundle of each.
    addresses: BTreeMap<Box<str>, BTreeSet<(u32, Entity)>>,
    /// Resources by type and search.
    searches: BTreeMap<Key, BTreeSet<Entity>>,
    /// Resources of which nobody can say what they are.
    contradicted: BTreeSet<Entity>,
}

impl Index {
    /// Adds a resource that was read.
    pub fn add(&mut self, entity: &Entity, address: Option<&str>, scope: u32, queries: &[Box<str>]) {
        let (kind, base, id) = entity;
        let key = (kind.clone(), id.clone());
        self.read.entry(key.clone()).or_default().insert(base.clone());
        if let Some(base) = base {
            self.named.entry(key).or_default().insert(base.clone());
        }
        self.address(entity, address, scope);
        for query in queries {
            self.searches.entry((kind.clone(), query.clone())).or_default().insert(entity.clone());
            // A search without a system finds the value in any.
            if let Some((_, value)) = query.split_once('|') {
                let any = format!("identifier={value}").into();
                self.searches.entry((kind.clone(), any)).or_default().insert(entity.clone());
            }
        }
    }

    /// Adds an address of a resource.
    pub fn address(&mut self, entity: &Entity, address: Option<&str>, scope: u32) {
        if let Some(address) = address {
            self.addresses.entry(address.into()).or_default().insert((scope, entity.clone()));
        }
    }

    /// Notes that a resource with a base is the same as the one without.
    pub fn merge(&mut self, entity: &Entity) {
        self.merged.insert(entity.clone());
    }

    /// Notes that nobody can say what a resource is.
    pub fn contradict(&mut self, entity: &Entity) {
        self.contradicted.insert(entity.clone());
    }

    /// Notes the base that a reference names.
    pub fn mention(&mut self, link: &Link) {
        if let Target::Named { base: Some(base), kind, id } = &link.target {
            self.named.entry((kind.clone(), id.clone())).or_default().insert(base.clone());
        }
    }

    /// What a resource is called.
    ///
    /// # Errors
    /// [`Reason::Ambiguous`] when that could be several, [`Reason::Contradicted`].
    pub fn name(&self, entity: &Entity) -> Result<String, Reason> {
        if self.contradicted.contains(entity) {
            return Err(Reason::Contradicted);
        }
        let (kind, base, id) = entity;
        let key = (kind.clone(), id.clone());
        let bases = self.named.get(&key).map_or(0, BTreeSet::len);
        let is_read = |base: &Base| self.read.get(&key).is_some_and(|read| read.contains(base));
        match base {
            // Whoever names no base means the resource without one, or else the only base that is named.
            None if is_read(&None) || bases <= 1 => Ok(id.to_string()),
            None => Err(Reason::Ambiguous),
            Some(_) if self.merged.contains(entity) => Ok(id.to_string()),
            Some(_) if bases == 1 && !(is_read(base) && is_read(&None)) => Ok(id.to_string()),
            Some(base) => Ok(format!("{base}/{kind}/{id}")),
        }
    }

    /// What a reference means. Where it does not say a type, `kinds` are those that it can be, the likeliest first.
    ///
    /// # Errors
    /// [`Reason::Ambiguous`], [`Reason::Contradicted`].
    pub fn follow(&self, link: &Link, kinds: &[&str]) -> Result<Meant, Reason> {
        let entity = match &link.target {
            Target::Named { base, kind, id } => (kind.clone(), base.clone(), id.clone()),
            Target::Address(address) => match self.at(address, link.scope)? {
                Some(entity) => entity,
                None => self.by_uuid(address, kinds)?,
            },
            Target::Search { kind, query } => {
                match self.searches.get(&(kind.clone(), query.clone())).map(|found| only(found.iter())) {
                    Some(entity) => entity?,
                    // Nobody with this identifier was read: the search itself is the name.
                    None => return Ok(Meant { kind: kind.clone(), name: format!("{kind}?{query}") }),
                }
            }
        };
        Ok(Meant { name: self.name(&entity)?, kind: entity.0 })
    }

    /// The resource at an address: the one in the same bundle, or else the only one.
    fn at(&self, address: &str, scope: u32) -> Result<Option<Entity>, Reason> {
        let Some(found) = self.addresses.get(address) else { return Ok(None) };
        let here: BTreeSet<&Entity> =
            found.iter().filter(|(of, _)| *of == scope).map(|(_, entity)| entity).collect();
        if here.is_empty() {
            let all: BTreeSet<&Entity> = found.iter().map(|(_, entity)| entity).collect();
            return only(all.into_iter()).map(Some);
        }
        only(here.into_iter()).map(Some)
    }

    /// Servers make a resource's id of the UUID that a bundle calls it by; so do the files of some programs.
    fn by_uuid(&self, address: &str, kinds: &[&str]) -> Result<Entity, Reason> {
        let id = address.strip_prefix("urn:uuid:").filter(|id| is_id(id)).unwrap_or(address);
        let entity = |kind: &str| (Box::from(kind), None, Box::from(id));
        let is_read = |kind: &&&str| self.read.contains_key(&(Box::from(**kind), Box::from(id)));
        let mut read = kinds.iter().filter(is_read);
        match (read.next(), read.next()) {
            (Some(_), Some(_)) => Err(Reason::Ambiguous),
            (Some(kind), None) => Ok(entity(kind)),
            (None, _) => Ok(entity(kinds.first().copied().unwrap_or_default())),
        }
    }
}

fn only<'a>(mut found: impl Iterator<Item = &'a Entity>) -> Result<Entity, Reason> {
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        _ => Err(Reason::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(base: Option<&str>, kind: &str, id: &str) -> Entity {
        (kind.into(), base.map(Into::into), id.into())
    }

    fn named(base: Option<&str>, kind: &str, id: &str) -> Link {
        let target = Target::Named { base: base.map(Into::into), kind: kind.into(), id: id.into() };
        Link { target, scope: 0 }
    }

    fn means(index: &Index, link: &Link) -> Result<String, Reason> {
        index.follow(link, &["Patient"]).map(|meant| format!("{}:{}", meant.kind, meant.name))
    }

    const A: Option<&str> = Some("http://a");
    const B: Option<&str> = Some("http://b");

    #[test]
    fn one_base_and_none_are_the_same() {
        let mut index = Index::default();
        index.add(&entity(None, "Patient", "1"), Some("urn:uuid:x"), 0, &["identifier=s|7".into()]);
        let links = [named(None, "Patient", "1"), named(A, "Patient", "1")];
        links.iter().for_each(|link| index.mention(link));
        for link in links {
            assert_eq!(means(&index, &link), Ok("Patient:1".to_owned()), "{link:?}");
        }
        for target in [
            Target::Address("urn:uuid:x".into()),
            Target::Search { kind: "Patient".into(), query: "identifier=s|7".into() },
            Target::Search { kind: "Patient".into(), query: "identifier=7".into() },
            Target::Address("urn:uuid:1".into()),
        ] {
            let link = Link { target, scope: 9 };
            assert_eq!(means(&index, &link), Ok("Patient:1".to_owned()), "{link:?}");
        }
        assert_eq!(means(&index, &named(None, "Practitioner", "1")), Ok("Practitioner:1".to_owned()));
    }

    #[test]
    fn two_bases_are_two_and_no_base_is_ambiguous() {
        let mut index = Index::default();
        index.add(&entity(A, "Patient", "1"), None, 0, &[]);
        index.mention(&named(B, "Patient", "1"));
        assert_eq!(means(&index, &named(A, "Patient", "1")), Ok("Patient:http://a/Patient/1".to_owned()));
        assert_eq!(means(&index, &named(B, "Patient", "1")), Ok("Patient:http://b/Patient/1".to_owned()));
        assert_eq!(means(&index, &named(None, "Patient", "1")), Err(Reason::Ambiguous));
        // One that was read without a base is meant by whoever names none.
        index.add(&entity(None, "Patient", "1"), None, 0, &[]);
        assert_eq!(means(&index, &named(None, "Patient", "1")), Ok("Patient:1".to_owned()));
    }

    #[test]
    fn a_resource_with_a_base_is_another_than_one_without_unless_they_are_the_same() {
        let mut index = Index::default();
        index.add(&entity(A, "Patient", "1"), None, 0, &[]);
        index.add(&entity(None, "Patient", "1"), None, 0, &[]);
        assert_eq!(means(&index, &named(A, "Patient", "1")), Ok("Patient:http://a/Patient/1".to_owned()));
        index.merge(&entity(A, "Patient", "1"));
        assert_eq!(means(&index, &named(A, "Patient", "1")), Ok("Patient:1".to_owned()));
    }

    #[test]
    fn an_address_counts_in_its_bundle_first() {
        let mut index = Index::default();
        index.add(&entity(None, "Patient", "1"), Some("urn:uuid:x"), 1, &[]);
        index.add(&entity(None, "Patient", "2"), Some("urn:uuid:x"), 2, &[]);
        let at = |scope| Link { target: Target::Address("urn:uuid:x".into()), scope };
        assert_eq!(means(&index, &at(1)), Ok("Patient:1".to_owned()));
        assert_eq!(means(&index, &at(2)), Ok("Patient:2".to_owned()));
        assert_eq!(means(&index, &at(3)), Err(Reason::Ambiguous));
    }
}
