//! Everything that was read, by what each resource is called: references are followed, versions sorted out, and what
//! cannot be used is counted with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::document::Digest;
use super::payer::Coverage;
use super::raw::Seen;
use super::skip::{Notes, Skips};
use super::source::walk::{self, Unread, UnreadEntry};
use super::source::{Found, FoundResource, Place, Reader, SourceError};
use super::{address, fhir, instant, limits, raw, resolve};
use crate::import::codes::Service;
use crate::import::instant::Instant;
use yilian_spec::base::time::Window;
use yilian_spec::domain::access::Category;

pub use super::raw::Amount;

/// An organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Organization {
    /// Its name, where something says it.
    pub name: String,
    /// Whether it was read, or is only referred to.
    pub is_read: bool,
}

/// An encounter.
#[derive(Debug, Clone)]
pub struct Encounter {
    /// The patient.
    pub patient: String,
    /// The organisation.
    pub organization: String,
    /// When it began.
    pub start: Instant,
    /// What kind of service it was.
    pub service: Service,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// A claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The organisation that claims; `None` where a person does.
    pub organization: Option<String>,
    /// The encounters that it bills.
    pub encounters: Vec<String>,
    /// What the claim's own type says.
    pub service: Option<Service>,
    /// The days that it bills, where it says so.
    pub performed: Option<Window>,
    /// Who is asked to pay; `None` where the claim names nobody.
    pub coverage: Option<Coverage>,
    /// What is claimed.
    pub total: Amount,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// An explanation of benefit: what a payer answered to a claim.
#[derive(Debug, Clone)]
pub struct Benefit {
    /// When it was made, where it says so.
    pub created: Option<Instant>,
    /// What is paid, where it says so and it can be counted.
    pub payment: Option<Amount>,
    /// Whether it says so, and it cannot: out of bounds, or of no currency.
    pub has_unfit_payment: bool,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// A clinical record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its category.
    pub category: Category,
    /// The resource.
    pub digest: Digest,
    /// Where it stands.
    pub place: Place,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Collected {
    /// Number of files that were read.
    pub files: u64,
    /// What else is in the directory, and what was refused.
    pub unread: Vec<UnreadEntry>,
    /// Resources by type, also those that are not used, and the bundles that were opened.
    pub resources: BTreeMap<String, u64>,
    /// Organisations that were read or are referred to.
    pub organizations: BTreeMap<String, Organization>,
    /// Patients that were read.
    pub patients: BTreeSet<String>,
    /// Encounters.
    pub encounters: BTreeMap<String, Encounter>,
    /// Claims.
    pub claims: BTreeMap<String, Claim>,
    /// Claims that do not count, such as cancelled ones.
    pub claims_left_out: BTreeMap<String, Place>,
    /// Explanations of benefit by the claim they answer: the latest of each.
    pub benefits: BTreeMap<String, Benefit>,
    /// Clinical records by the encounter they were made in, in the order of their ids.
    pub records: BTreeMap<String, BTreeMap<String, Record>>,
    /// What was left out.
    pub skips: Skips,
    /// What was noted.
    pub notes: Notes,
}

/// Which files of a directory count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reach {
    /// Also those of the folders in it.
    pub is_recursive: bool,
}

impl Collected {
    /// Reads a directory. A file that is not whole is left out as a whole, and named; the others are read.
    ///
    /// # Errors
    /// [`SourceError`] when there is nothing to read, too much, or every file is refused.
    pub fn read(
        directory: &Path,
        reach: Reach,
        mut after_each: impl FnMut(u64, u64),
    ) -> Result<Self, SourceError> {
        let walk::Listing { inputs, unread } = walk::list(directory, reach.is_recursive)?;
        let mut all = Self { unread, ..Self::default() };
        let mut gathered = Gathered::default();
        let mut reader = Reader::default();
        let mut first_refusal = None;
        for (number, input) in (1..).zip(&inputs) {
            let before = gathered.mark();
            match reader.read(input, &mut |place, found| gathered.take(place, found)) {
                Ok(()) => all.files += 1,
                Err(error @ SourceError::TooManyResources) => return Err(error),
                Err(error) => {
                    gathered.back_to(before);
                    let file = input.name.to_string();
                    let entry = UnreadEntry { file, reason: Unread::Refused, error: Some(error.to_string()) };
                    all.unread.push(entry);
                    first_refusal = first_refusal.or(Some(error));
                }
            }
            after_each(number, inputs.len() as u64);
        }
        if let (0, Some(error)) = (all.files, first_refusal) {
            return Err(error);
        }
        resolve::into(&mut all, gathered);
        Ok(all)
    }

    /// The files that were refused.
    pub fn refused(&self) -> impl Iterator<Item = &UnreadEntry> {
        self.unread.iter().filter(|entry| entry.reason == Unread::Refused)
    }
}

/// What was read before references are followed.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The resources, in the order of the files.
    pub seen: Vec<Seen>,
    /// Resources by type.
    pub resources: BTreeMap<String, u64>,
    /// What was left out.
    pub skips: Skips,
}

/// A place to go back to.
struct Mark {
    seen: usize,
    resources: BTreeMap<String, u64>,
    skips: Skips,
}

impl Gathered {
    fn mark(&self) -> Mark {
        Mark { seen: self.seen.len(), resources: self.resources.clone(), skips: self.skips.clone() }
    }

    /// Forgets what was read of a file that is not whole.
    fn back_to(&mut self, mark: Mark) {
        self.seen.truncate(mark.seen);
        (self.resources, self.skips) = (mark.resources, mark.skips);
    }

    fn take(&mut self, place: &Place, found: Found<'_>) -> Result<(), SourceError> {
        match found {
            Found::Container { kind } => *self.resources.entry(kind.to_owned()).or_default() += 1,
            Found::Empty { is_deletion } => {
                *self.resources.entry(EMPTY_ENTRY.to_owned()).or_default() += 1;
                let reason =
                    if is_deletion { super::skip::Reason::Deletion } else { super::skip::Reason::NoResource };
                self.skips.add(EMPTY_ENTRY, reason, place);
            }
            Found::Resource(resource) => self.take_resource(place, resource)?,
        }
        Ok(())
    }

    fn take_resource(&mut self, place: &Place, found: FoundResource<'_>) -> Result<(), SourceError> {
        use super::skip::Reason;
        let head: fhir::Head<'_> = serde_json::from_str(found.json)
            .map_err(|error| SourceError::NotJson { place: place.clone(), reason: error.to_string() })?;
        let kind = head.resource_type.as_str();
        *self.resources.entry(kind.to_owned()).or_default() += 1;
        if !raw::is_used(kind) {
            self.skips.add(kind, Reason::NotUsed, place);
            return Ok(());
        }
        // The address may say where a resource stands, and what its id is, before a server has given it one.
        let full = found.full_url.and_then(address::split).filter(|(_, of, _)| *of == kind);
        let full = full.and_then(|(base, _, id)| Some((address::base_of(base?), id)));
        let opaque = found.full_url.filter(|url| full.is_none() && address::is_address(url));
        let uuid = opaque.and_then(|url| url.strip_prefix("urn:uuid:")).filter(|id| address::is_id(id));
        let id = match &head.id {
            Some(id) => Some(id.as_str()).filter(|id| address::is_id(id)),
            None => full.as_ref().map(|(_, id)| *id).or(uuid),
        };
        let Some(id) = id else {
            self.skips.add(kind, Reason::NoId, place);
            return Ok(());
        };
        // A full address with another id than the resource's own says nothing about where it stands.
        let base = full.filter(|(_, of)| *of == id).map(|(base, _)| base);
        let contained = head.contained();
        let context = address::Context { scope: found.scope, base: base.as_deref(), contained: &contained };
        let (content, digest) = raw::read(kind, found.json, &context);
        if self.seen.len() == limits::RESOURCES_MAX {
            return Err(SourceError::TooManyResources);
        }
        self.seen.push(Seen {
            kind: kind.into(),
            id: id.into(),
            address: opaque.map(Into::into),
            scope: found.scope,
            digest,
            updated: head.last_updated().as_deref().and_then(instant::parse),
            place: place.clone(),
            content,
            base,
        });
        Ok(())
    }
}

/// What an entry without a resource is counted as.
pub const EMPTY_ENTRY: &str = "entry without a resource";
