//! What stands for documents and for the import's own bookkeeping: digests, salted commitments, keys of the journal.
//!
//! All of them are made with a local secret of 32 random bytes, drawn once per import directory. A salt is SHA-256
//! over the secret and the name of what is committed to; a key of the journal, a patient's tag and half a transaction's
//! nonce likewise. Whoever has neither the secret nor the document learns nothing from them; destroying the secret makes
//! every commitment meaningless.

use std::fmt;

use sha2::{Digest as _, Sha256};
use yilian_spec::base::id::{Commitment, InstitutionId, SubjectTag, commit};
use zeroize::{Zeroize, Zeroizing};

/// SHA-256 of a document.
pub type Digest = [u8; 32];

/// Names what an operation of the import records, in the journal. Says nothing without the secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The local secret. Wiped when dropped.
pub struct Secret([u8; 32]);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// A secret from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret as hexadecimal digits, for its file. Wiped when dropped.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }

    /// The key of what `kind` and `parts` name.
    pub fn key(&self, kind: &str, parts: &[&str]) -> Key {
        Key(self.derive("key", kind, parts))
    }

    /// A commitment to `document` under the salt of what `kind` and `parts` name.
    pub fn commit(&self, kind: &str, parts: &[&str], document: &[u8]) -> Commitment {
        commit(&self.derive("salt", kind, parts), document)
    }

    /// The subject tag of a patient's record: every copy of the import's directory comes to the same one, so that none parts a
    /// patient's records in two.
    pub fn tag(&self, custodian: &InstitutionId, record_number: &str) -> SubjectTag {
        let derived = self.derive("tag", custodian.as_str(), &[record_number]);
        SubjectTag::of(custodian, std::array::from_fn(|index| derived[index]))
    }

    /// The nonce of a transaction of this import: eight random bytes, and eight that follow from them for whoever has the
    /// secret. So an import knows its own transactions on the ledger, whatever its journal has lost.
    pub fn nonce(&self, random: [u8; 8]) -> [u8; 16] {
        let mark = self.derive("nonce", "transaction", &[&hex::encode(random)]);
        std::array::from_fn(|index| if index < 8 { random[index] } else { mark[index] })
    }

    /// Whether a transaction with this nonce is of this import.
    pub fn made(&self, nonce: &[u8; 16]) -> bool {
        nonce.first_chunk().is_some_and(|random| self.nonce(*random) == *nonce)
    }

    /// SHA-256 over the secret and the parts, each with its length in front, so that no two lists are alike.
    fn derive(&self, domain: &str, kind: &str, parts: &[&str]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"yilian/import/v1");
        hasher.update(self.0);
        for part in [domain, kind].iter().chain(parts) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// The digest of a resource: SHA-256 of its JSON without the white space between tokens, so that a bundle and an
/// NDJSON file of the same resource agree.
pub fn digest(json: &str) -> Digest {
    let mut hasher = Sha256::new();
    let bytes = json.as_bytes();
    let (mut start, mut in_string, mut is_escaped) = (0, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte.is_ascii_whitespace() {
            hasher.update(&bytes[start..at]);
            start = at + 1;
        } else if *byte == b'"' {
            in_string = true;
        }
    }
    hasher.update(&bytes[start..]);
    hasher.finalize().into()
}

/// The digest of some texts, each with its length in front.
pub fn digest_of<'a>(texts: impl Iterator<Item = &'a str>) -> Digest {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

/// The digest of a growing list of documents: SHA-256 of the list so far and the next one's digest.
pub fn chain(list: &mut Digest, next: &Digest) {
    *list = Sha256::new().chain_update(*list).chain_update(next).finalize().into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_tokens_does_not_count_and_inside_texts_it_does() {
        let packed = r#"{"a":"x \" y","b":[1.50,true]}"#;
        let spread = "{\n  \"a\" : \"x \\\" y\",\r\n\t\"b\": [ 1.50 , true ] }";
        assert_eq!(digest(packed), digest(spread));
        assert_ne!(digest(packed), digest(r#"{"a":"x \"  y","b":[1.50,true]}"#));
        assert_ne!(digest(packed), digest(r#"{"a":"x \" y","b":[1.5,true]}"#));
        assert_eq!(digest("{}"), <[u8; 32]>::from(Sha256::digest(b"{}")));
    }

    #[test]
    fn an_import_knows_its_own_nonces_alone() {
        let (one, two) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let nonce = one.nonce([5; 8]);
        assert!(one.made(&nonce) && !two.made(&nonce) && nonce[..8] == [5; 8]);
        for place in 0..16 {
            let mut altered = nonce;
            altered[place] ^= 1;
            assert!(!one.made(&altered), "{place}");
        }
    }

    #[test]
    fn a_tag_is_its_custodians_and_depends_on_secret_and_record() {
        let (one, two) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let [renhe, qinghe]: [InstitutionId; 2] =
            ["renhe-hospital", "qinghe-county-hospital"].map(|id| id.parse().unwrap());
        let tag = one.tag(&renhe, "renhe-hospital/p1");
        assert!(tag.is_kept_by(&renhe) && !tag.is_kept_by(&qinghe));
        assert_eq!(tag, one.tag(&renhe, "renhe-hospital/p1"));
        // Not by their custodian's half alone.
        assert_ne!(tag.0[16..], one.tag(&renhe, "renhe-hospital/p2").0[16..]);
        assert_ne!(tag.0[16..], two.tag(&renhe, "renhe-hospital/p1").0[16..]);
        assert_ne!(tag.0[16..], one.tag(&qinghe, "renhe-hospital/p1").0[16..]);
    }

    #[test]
    fn keys_and_salts_depend_on_the_secret_and_on_every_part() {
        let (one, two) = (Secret::new([1; 32]), Secret::new([2; 32]));
        assert_eq!(one.key("claim", &["a", "b"]), one.key("claim", &["a", "b"]));
        assert_ne!(one.key("claim", &["a", "b"]), two.key("claim", &["a", "b"]));
        assert_ne!(one.key("claim", &["a", "b"]), one.key("claim", &["ab"]));
        assert_ne!(one.key("claim", &["a"]), one.key("grant", &["a"]));
        assert_ne!(one.commit("claim", &["a"], b"x"), one.commit("claim", &["b"], b"x"));
        assert_ne!(one.commit("claim", &["a"], b"x"), one.commit("claim", &["a"], b"y"));
    }
}
