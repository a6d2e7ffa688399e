//! What a reference says: base, type and id, a URN, or an identifier. Which resource that is, [`super::index`] knows.

use super::fhir;

/// The server that a type and an id belong to, as `https://host/path`; `None` where it is not said.
pub type Base = Option<Box<str>>;

/// What a reference says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `Type/id`, behind a base or not.
    Named {
        /// Where.
        base: Base,
        /// The type.
        kind: Box<str>,
        /// The id.
        id: Box<str>,
    },
    /// `urn:uuid:…`, or another address that says neither type nor id.
    Address(Box<str>),
    /// Whoever has this identifier: `Type?identifier=system|value`, or a reference that gives one.
    Search {
        /// The type.
        kind: Box<str>,
        /// `identifier=system|value`, or another search.
        query: Box<str>,
    },
}

/// A reference, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it says.
    pub target: Target,
    /// The bundle that it stands in; addresses count there first.
    pub scope: u32,
}

/// Where a resource stands, for the references in it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The bundle; 0 outside any.
    pub scope: u32,
    /// The base of the resource itself.
    pub base: Option<&'a str>,
    /// The resources contained in it.
    pub contained: &'a [fhir::Contained],
}

/// Whether a text is a FHIR id: 1 to 64 letters, digits, `-` and `.`.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

/// Whether a text can be the name of a type of resources.
pub fn is_kind(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Splits `base/Type/id`, with or without a base and a version; `None` when it is not of that form.
pub fn split(text: &str) -> Option<(Option<&str>, &str, &str)> {
    let text = text.split("/_history/").next().unwrap_or(text);
    let (rest, id) = text.rsplit_once('/')?;
    let (base, kind) = match rest.rsplit_once('/') {
        Some((base, kind)) => (Some(base), kind),
        None => (None, rest),
    };
    (is_id(id) && is_kind(kind) && base.is_none_or(is_base)).then_some((base, kind, id))
}

fn is_base(text: &str) -> bool {
    text.strip_prefix("http://").or(text.strip_prefix("https://")).is_some_and(|host| !host.is_empty())
}

impl Context<'_> {
    /// The link of a reference that should point to `expected`; `None` when it says nothing that can be followed.
    pub fn link(&self, reference: &fhir::Reference, expected: &str) -> Option<Link> {
        let target = match reference.reference.as_deref() {
            Some(text) => self.target(text)?,
            None => {
                let query = query(reference.identifier.as_ref()?)?;
                let kind = reference.kind.as_deref().filter(|kind| is_kind(kind)).unwrap_or(expected);
                Target::Search { kind: kind.into(), query }
            }
        };
        Some(Link { target, scope: self.scope })
    }

    fn target(&self, text: &str) -> Option<Target> {
        if let Some(id) = text.strip_prefix('#') {
            // What is contained has no address of its own; an identifier can say who it is.
            let contained = self.contained(id)?;
            let query = contained.identifiers().iter().find_map(query)?;
            return Some(Target::Search { kind: contained.resource_type.as_str().into(), query });
        }
        if let Some((path, search)) = text.split_once('?') {
            let kind = path.rsplit('/').next().filter(|kind| is_kind(kind))?;
            return Some(Target::Search { kind: kind.into(), query: unescaped(search)?.into() });
        }
        if let Some((base, kind, id)) = split(text) {
            let base = base.or(self.base).map(base_of);
            return Some(Target::Named { base, kind: kind.into(), id: id.into() });
        }
        // An address: of what, only the resource that has it says.
        is_address(text).then(|| Target::Address(text.into()))
    }

    /// A resource contained in this one.
    pub fn contained(&self, id: &str) -> Option<&fhir::Contained> {
        self.contained.iter().find(|contained| contained.id.as_deref() == Some(id))
    }
}

/// Whether a text is a URN or a URL.
pub fn is_address(text: &str) -> bool {
    let has_no_space = !text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control());
    has_no_space
        && ["urn:", "http://", "https://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// A base in one form: without a slash at its end, its host in small letters.
pub fn base_of(text: &str) -> Box<str> {
    let text = text.trim_end_matches('/');
    let host_end =
        text.find("://").map_or(0, |at| text[at + 3..].find('/').map_or(text.len(), |end| at + 3 + end));
    format!("{}{}", text[..host_end].to_ascii_lowercase(), &text[host_end..]).into()
}

/// The search for whoever has an identifier; `None` when it has no value.
pub fn query(identifier: &fhir::Identifier) -> Option<Box<str>> {
    let value = identifier.value.as_deref().filter(|value| !value.is_empty())?;
    Some(
        match &identifier.system {
            Some(system) => format!("identifier={system}|{value}"),
            None => format!("identifier={value}"),
        }
        .into(),
    )
}

/// The text behind `%xx`; `None` when it is no text.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str, base: Option<&str>) -> Option<Target> {
        let context = Context { scope: 0, base, contained: &[] };
        let reference = fhir::Reference { reference: Some(text.to_owned()), ..fhir::Reference::default() };
        context.link(&reference, "Patient").map(|link| link.target)
    }

    fn named(base: Option<&str>, kind: &str, id: &str) -> Option<Target> {
        Some(Target::Named { base: base.map(Into::into), kind: kind.into(), id: id.into() })
    }

    #[test]
    fn every_form_keeps_base_type_and_id() {
        assert_eq!(target("Patient/1", None), named(None, "Patient", "1"));
        assert_eq!(target("Patient/1/_history/2", None), named(None, "Patient", "1"));
        assert_eq!(target("Patient/1", Some("http://a/fhir")), named(Some("http://a/fhir"), "Patient", "1"));
        assert_eq!(target("HTTPS://x", None), None);
        let absolute = target("http://Host/fhir/Practitioner/1/_history/2", Some("http://b"));
        assert_eq!(absolute, named(Some("http://host/fhir"), "Practitioner", "1"));
        let urn = "urn:uuid:11111111-2222-3333-4444-555555555555";
        assert_eq!(target(urn, None), Some(Target::Address(urn.into())));
        let search = |query: &str| Some(Target::Search { kind: "Organization".into(), query: query.into() });
        assert_eq!(target("Organization?identifier=s%7Cone", None), search("identifier=s|one"));
        assert_eq!(target("http://a/Organization?identifier=s|one", None), search("identifier=s|one"));
    }

    #[test]
    fn what_cannot_be_followed_is_none() {
        for text in [
            "",
            "1",
            "/1",
            "patient/1",
            "Patient/",
            "Patient/a b",
            "#p1",
            "a/Patient/1",
            "urn:",
            "?x=1",
            "http://",
        ] {
            assert_eq!(target(text, None), None, "{text}");
        }
    }

    #[test]
    fn an_identifier_says_who_is_meant() {
        let identifier = fhir::Identifier { system: Some("s".to_owned()), value: Some("1".to_owned()) };
        let context = Context { scope: 3, base: None, contained: &[] };
        let reference = fhir::Reference { identifier: Some(identifier), ..fhir::Reference::default() };
        let link = context.link(&reference, "Organization").unwrap();
        let target = Target::Search { kind: "Organization".into(), query: "identifier=s|1".into() };
        assert_eq!(link, Link { target, scope: 3 });
    }
}
