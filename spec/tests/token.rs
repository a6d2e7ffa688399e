//! The API token: each rule J-1 to J-9 by its error, and that nothing but a genuine token passes.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use yilian_spec::base::id::ChainId;
use yilian_spec::base::limits::{TOKEN_BYTES_MAX, TOKEN_CLOCK_AHEAD_S_MAX, TOKEN_LIFETIME_S_MAX};
use yilian_spec::crypto::signature::{SecretKey, SignatureError};
use yilian_spec::crypto::token::{Audience, Claims, Part, TokenError, VerifiedToken, parse_and_verify, sign};

const CHAIN: ChainId = ChainId([0xc4; 32]);
const NOW_S: u64 = 1_800_000_000;

fn key() -> SecretKey {
    SecretKey::from_seed(&[17; 32])
}

/// The node that reads the tokens here.
fn here() -> Audience {
    Audience { chain_id: CHAIN, node: SecretKey::from_seed(&[21; 32]).public_key() }
}

fn claims() -> Claims {
    Claims::new("county-hospital", &here(), NOW_S, 120)
}

fn check(token: &str) -> Result<VerifiedToken, TokenError> {
    parse_and_verify(token, NOW_S, &here())
}

/// Signs any header and payload, also ones that [`sign`] would not make.
fn signed(header: &str, payload: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.ed25519_bytes()))
}

fn header() -> String {
    format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, key().public_key())
}

fn payload() -> String {
    format!(r#"{{"iss":"county-hospital","aud":"{}","iat":{NOW_S},"exp":{}}}"#, here(), NOW_S + 120)
}

fn json(claims: &Claims) -> String {
    serde_json::to_string(claims).expect("claims are JSON")
}

#[test]
fn a_signed_token_is_read_back() {
    let with_nonce = Claims { nonce: Some("0f3a".to_owned()), ..claims() };
    for claims in [claims(), with_nonce] {
        let token = sign(&claims, &key()).unwrap();
        assert_eq!(check(&token), Ok(VerifiedToken { key: key().public_key(), claims }));
    }
}

#[test]
fn a_token_made_by_hand_is_the_same_bytes() {
    assert_eq!(sign(&claims(), &key()).unwrap(), signed(&header(), &payload()));
}

/// The key, header-free input and signature of RFC 8037, appendix A.4, which fixes EdDSA over a JWS input.
#[test]
fn the_signature_is_that_of_rfc_8037() {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = SecretKey::from_seed(&seed.try_into().unwrap());
    assert_eq!(
        URL_SAFE_NO_PAD.encode(key.public_key().ed25519_bytes()),
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).ed25519_bytes()), expected);
}

#[test]
fn j1_a_long_token_is_refused_unread() {
    let at_bound = "a".repeat(TOKEN_BYTES_MAX);
    assert_eq!(check(&at_bound), Err(TokenError::Parts { parts: 1 }));
    let above = "a".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(check(&above), Err(TokenError::TooLong { bytes: TOKEN_BYTES_MAX + 1 }));
}

#[test]
fn j2_form_is_three_parts_of_base64url_without_padding() {
    let good = signed(&header(), &payload());
    for (token, parts) in [("", 1), ("a.b", 2), ("a.b.c.d", 4), ("....", 5)] {
        assert_eq!(check(token), Err(TokenError::Parts { parts }), "{token}");
    }
    assert_eq!(check(&format!("{good}.")), Err(TokenError::Parts { parts: 4 }));
    assert_eq!(check(&format!("{good}=")), Err(TokenError::Base64 { part: Part::Signature }));
    assert_eq!(check(&format!("{good}\n")), Err(TokenError::Base64 { part: Part::Signature }));
    assert_eq!(check(&format!(" {good}")), Err(TokenError::Base64 { part: Part::Header }));
    let padded = URL_SAFE.encode(format!("{} ", payload()));
    let padded = if padded.ends_with('=') { padded } else { format!("{padded}=") };
    let header = URL_SAFE_NO_PAD.encode(header());
    assert_eq!(check(&format!("{header}.{padded}.AA")), Err(TokenError::Base64 { part: Part::Payload }));
    // 64 bytes leave four spare bits in the last character; they must be zero.
    let last = good.chars().last().unwrap();
    let spare = if last == 'A' { 'B' } else { char::from(last as u8 + 1) };
    let malleable = format!("{}{spare}", &good[..good.len() - 1]);
    assert_eq!(check(&malleable), Err(TokenError::Base64 { part: Part::Signature }));
}

#[test]
fn j3_there_is_one_algorithm_and_one_header() {
    let kid = key().public_key().to_string();
    let with = |header: String| check(&signed(&header, &payload()));
    for algorithm in ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", ""] {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{kid}"}}"#);
        assert_eq!(with(header), Err(TokenError::Algorithm), "{algorithm}");
    }
    assert_eq!(with(format!(r#"{{"alg":"EdDSA","typ":"JOSE","kid":"{kid}"}}"#)), Err(TokenError::Type));
    for wrong in [kid.to_uppercase(), kid[..62].to_owned(), format!("{kid}00"), "../../etc/passwd".to_owned()]
    {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{wrong}"}}"#);
        assert_eq!(with(header), Err(TokenError::KeyId), "{wrong}");
    }
    for extra in [
        r#""crit":["exp"]"#,
        r#""jwk":{}"#,
        r#""x5u":"http://example.org""#,
        r#""alg":"none""#,
        r#""b64":false"#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}",{extra}}}"#);
        assert!(matches!(with(header), Err(TokenError::Header { .. })), "{extra}");
    }
    for header in
        ["", "{}", "[]", "null", "{\"alg\":", r#"{"alg":"EdDSA"}"#, r#"{"alg":1,"typ":"JWT","kid":""}"#]
    {
        assert!(matches!(with(header.to_owned()), Err(TokenError::Header { .. })), "{header}");
    }
}

#[test]
fn j4_the_signature_covers_header_and_claims_and_is_of_the_named_key() {
    let good = signed(&header(), &payload());
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(check(&unsigned), Err(TokenError::SignatureSize { bytes: 0 }));
    let long = URL_SAFE_NO_PAD.encode([0; 65]);
    assert_eq!(check(&format!("{unsigned}{long}")), Err(TokenError::SignatureSize { bytes: 65 }));
    let mismatch = Err(TokenError::Signature(SignatureError::Mismatch));
    let other_claims = URL_SAFE_NO_PAD.encode(json(&Claims { issuer: "regulator".to_owned(), ..claims() }));
    assert_eq!(check(&format!("{}.{other_claims}.{}", parts[0], parts[2])), mismatch);
    let other_key = SecretKey::from_seed(&[18; 32]).public_key();
    let other_header =
        URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{other_key}"}}"#));
    assert_eq!(check(&format!("{other_header}.{}.{}", parts[1], parts[2])), mismatch);
}

#[test]
fn j5_the_claims_are_exactly_those_of_the_rule() {
    let aud = here();
    for payload in [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"iss":"a","aud":"{aud}","iat":{NOW_S}}}"#),
        format!(r#"{{"iss":"a","aud":"{aud}","iat":{NOW_S},"exp":{NOW_S}.5}}"#),
        format!(r#"{{"iss":"a","aud":"{aud}","iat":-1,"exp":{NOW_S}}}"#),
        format!(r#"{{"iss":"a","aud":["{aud}"],"iat":{NOW_S},"exp":{NOW_S}}}"#),
        format!(r#"{{"iss":"a","aud":"{aud}","iat":{NOW_S},"exp":{NOW_S},"role":"auditor"}}"#),
        format!(r#"{{"iss":"a","iss":"b","aud":"{aud}","iat":{NOW_S},"exp":{NOW_S}}}"#),
        format!(r#"{{"iss":"a","aud":"{aud}","iat":{NOW_S},"exp":{NOW_S}}} x"#),
        format!(r#"{{"iss":"a","aud":"{aud}","iat":{NOW_S},"exp":99999999999999999999}}"#),
    ] {
        let outcome = check(&signed(&header(), &payload));
        assert!(matches!(outcome, Err(TokenError::Claims { .. })), "{payload}: {outcome:?}");
    }
}

#[test]
fn j6_issuer_and_nonce_are_short_and_printable() {
    for text in [String::new(), "a".repeat(65), "two words".to_owned(), "医联".to_owned(), "a\n".to_owned()]
    {
        let issuer = Claims { issuer: text.clone(), ..claims() };
        assert_eq!(sign(&issuer, &key()), Err(TokenError::Issuer));
        assert_eq!(check(&signed(&header(), &json(&issuer))), Err(TokenError::Issuer));
        let nonce = Claims { nonce: Some(text), ..claims() };
        assert_eq!(sign(&nonce, &key()), Err(TokenError::Nonce));
        assert_eq!(check(&signed(&header(), &json(&nonce))), Err(TokenError::Nonce));
    }
    let longest = Claims { issuer: "a".repeat(64), nonce: Some("n".repeat(64)), ..claims() };
    assert!(check(&sign(&longest, &key()).unwrap()).is_ok());
}

#[test]
fn j7_a_token_for_another_ledger_is_refused() {
    let token = sign(&claims(), &key()).unwrap();
    let elsewhere = Audience { chain_id: ChainId([0; 32]), ..here() };
    assert_eq!(parse_and_verify(&token, NOW_S, &elsewhere), Err(TokenError::Audience));
    let upper = here().to_string().to_uppercase();
    for audience in
        [upper, CHAIN.to_string(), here().node.to_string(), format!("{}/", here().node), String::new()]
    {
        let token = sign(&Claims { audience: audience.clone(), ..claims() }, &key()).unwrap();
        assert_eq!(check(&token), Err(TokenError::Audience), "{audience}");
    }
}

#[test]
fn j7_a_token_shown_to_one_node_is_of_no_use_at_another() {
    let token = sign(&claims(), &key()).unwrap();
    let other = Audience { node: SecretKey::from_seed(&[22; 32]).public_key(), ..here() };
    assert_eq!(parse_and_verify(&token, NOW_S, &other), Err(TokenError::OtherNode));
    for audience in [format!("{CHAIN}/"), format!("{}/x", here()), format!("{CHAIN}/{}", here())] {
        let token = sign(&Claims { audience: audience.clone(), ..claims() }, &key()).unwrap();
        assert_eq!(check(&token), Err(TokenError::OtherNode), "{audience}");
    }
}

#[test]
fn j8_a_lifetime_is_positive_and_bounded() {
    let lasting = |expires_s| Claims { expires_s, ..claims() };
    for (expires_s, lifetime_s) in [
        (NOW_S, 0),
        (NOW_S - 1, -1),
        (NOW_S + TOKEN_LIFETIME_S_MAX + 1, i128::from(TOKEN_LIFETIME_S_MAX) + 1),
        (u64::MAX, i128::from(u64::MAX - NOW_S)),
    ] {
        let expected = TokenError::Lifetime { lifetime_s };
        assert_eq!(sign(&lasting(expires_s), &key()), Err(expected.clone()));
        assert_eq!(check(&signed(&header(), &json(&lasting(expires_s)))), Err(expected));
    }
    assert!(check(&sign(&lasting(NOW_S + TOKEN_LIFETIME_S_MAX), &key()).unwrap()).is_ok());
}

#[test]
fn j9_a_token_is_valid_from_its_issue_to_its_expiry() {
    let token = sign(&claims(), &key()).unwrap();
    let at = |now_s| parse_and_verify(&token, now_s, &here()).map(|_| ());
    assert_eq!(at(NOW_S - TOKEN_CLOCK_AHEAD_S_MAX - 1), Err(TokenError::IssuedInFuture { ahead_s: 31 }));
    assert_eq!(at(NOW_S - TOKEN_CLOCK_AHEAD_S_MAX), Ok(()));
    assert_eq!(at(NOW_S + 119), Ok(()));
    assert_eq!(at(NOW_S + 120), Err(TokenError::Expired { ago_s: 0 }));
    assert_eq!(at(u64::MAX), Err(TokenError::Expired { ago_s: u64::MAX - NOW_S - 120 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 3)) {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&parts.join(".")).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused(position in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let mut token = sign(&claims(), &key()).unwrap().into_bytes();
        let position = position.index(token.len());
        prop_assume!(token[position] != byte);
        token[position] = byte;
        prop_assert!(check(std::str::from_utf8(&token).unwrap()).is_err());
    }
}
