//! What holds for every operation of the API, and so stands once: what an answer is, and how a request can fail.
//!
//! The handlers describe what is theirs ([`super::router`]).

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use yilian_spec::base::id::{ChainId, GrantId};
use yilian_spec::base::limits::STREAM_PART_ENTRIES_MAX;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation as LedgerOperation;
use yilian_spec::domain::access::{GrantRevocationReason, RevokeGrant};
use yilian_spec::ledger::transaction::TransactionBody;

use super::limits::{API_CURSOR_BYTES_MAX, API_PAGE_ITEMS_DEFAULT, API_PAGE_ITEMS_MAX, API_WAIT_MS_MAX};
use super::{examples, schemas};

/// How a request can fail whatever it asks for.
const ALWAYS: [(&str, &str); 4] = [
    ("431", "The request's line and headers are too long"),
    ("500", "The node could not answer; its log says why"),
    ("503", "The node does not serve this now: the message says why and what to do"),
    ("504", "The request took longer than the node's bound"),
];

/// How it can fail where a token is needed.
const WITH_TOKEN: [(&str, &str); 3] = [
    ("400", "Path, query or headers cannot be read"),
    ("401", "There is no token, or it is not good here and now"),
    ("403", "The key's role may not ask this, or it concerns others"),
];

/// How it can fail where a path names something.
const OF_A_THING: [(&str, &str); 1] =
    [("404", "There is no such thing, or it does not concern the caller's institution")];

/// How it can fail where there is a body.
const WITH_BODY: [(&str, &str); 4] = [
    ("413", "The body is longer than the node reads"),
    ("415", "The body is of another type"),
    ("422", "No block could carry the transaction"),
    ("429", "A bound is reached: try again after the seconds in Retry-After"),
];

/// Adds to each operation what holds for all.
pub fn complete(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        let names_a_thing = path.contains('{');
        for operation in [item.get.as_mut(), item.post.as_mut()].into_iter().flatten() {
            complete_one(operation, names_a_thing);
        }
    }
}

fn complete_one(operation: &mut Operation, names_a_thing: bool) {
    // An operation that says so itself needs no token.
    let needs_token = operation.security.is_none();
    let has_body = operation.request_body.is_some();
    let tables: [(bool, &[(&str, &str)]); 4] =
        [(true, &ALWAYS), (needs_token, &WITH_TOKEN), (names_a_thing, &OF_A_THING), (has_body, &WITH_BODY)];
    let failures = tables.iter().filter(|(holds, _)| *holds).flat_map(|(_, failures)| *failures);
    for (status, why) in failures {
        let known = operation.responses.responses.entry((*status).to_owned());
        known.or_insert_with(|| RefOr::T(failure(why)));
    }
    let all = tables.iter().flat_map(|(_, failures)| *failures);
    let summary = operation.summary.clone().unwrap_or_default();
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            let standard = all.clone().find(|(of, _)| of == status).map(|(_, why)| (*why).to_owned());
            response.description = standard.unwrap_or_else(|| summary.clone());
        }
    }
}

fn failure(why: &str) -> Response {
    let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    ResponseBuilder::new().description(why).content("application/json", body).build()
}

/// The description as JSON, in which every part of a schema that is an object has a name.
pub fn text(description: &OpenApi) -> String {
    let mut json = serde_json::to_value(description).expect("a description is plain data");
    schemas::bound_integers(&mut json);
    if let Some(schemas) = json.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas::name_parts(schemas);
    }
    schemas::drop_unused(&mut json);
    for operation in json["paths"].as_object_mut().into_iter().flat_map(Map::values_mut).flat_map(operations)
    {
        bound_parameters(operation);
        describe_bodies(operation);
    }
    examples::add(&mut json);
    json.to_string()
}

fn operations(path: &mut Value) -> impl Iterator<Item = &mut Value> {
    path.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// The bounds of parameters, by their names; wherever one stands it is bounded alike.
fn bounds(name: &str) -> Option<Value> {
    Some(match name {
        "limit" => json!({ "minimum": 1, "maximum": API_PAGE_ITEMS_MAX, "default": API_PAGE_ITEMS_DEFAULT }),
        "cursor" => json!({ "maxLength": 2 * API_CURSOR_BYTES_MAX, "pattern": "^([0-9a-f]{2})*$" }),
        "wait_ms" => json!({ "maximum": API_WAIT_MS_MAX, "default": 0 }),
        "height" => json!({ "pattern": "^(latest|[1-9][0-9]{0,19})$" }),
        "kind" => json!({ "enum": ["subject", "institution", "grant", "referral", "period"] }),
        "from" => json!({ "default": 0 }),
        "entries" => {
            json!({ "minimum": 1, "maximum": STREAM_PART_ENTRIES_MAX, "default": STREAM_PART_ENTRIES_MAX })
        }
        _ => return None,
    })
}

fn bound_parameters(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let bounds = parameter["name"].as_str().and_then(bounds);
        // Where a height is a number it is never the latest.
        let is_number = parameter["schema"]["type"] == "integer";
        let bounds = bounds.as_ref().and_then(Value::as_object).into_iter().flatten();
        for (word, value) in bounds.filter(|(word, _)| !(is_number && *word == "pattern")) {
            parameter["schema"][word] = value.clone();
        }
    }
}

/// What a body of bytes is, and an example of one in JSON.
fn describe_bodies(operation: &mut Value) {
    let contents = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
    for (kind, content) in contents.into_iter().flatten() {
        if kind == "application/json" {
            let is_signed = content["schema"]["$ref"] != "#/components/schemas/TransactionBody";
            content["example"] = example(is_signed);
        } else {
            content["schema"] = json!({ "type": "string", "format": "binary" });
        }
    }
}

/// A transaction as a client submits it, or its body.
fn example(is_signed: bool) -> Value {
    let secret = SecretKey::from_seed(&[1; 32]);
    let (grant, reason) = (GrantId([0xab; 32]), GrantRevocationReason::ConsentWithdrawn);
    let body = TransactionBody {
        chain_id: ChainId([0xcd; 32]),
        author: secret.public_key(),
        institution: "renhe-hospital".parse().expect("it is an id"),
        created: LedgerTime(1_800_000_000_000),
        expires: LedgerTime(1_800_000_300_000),
        nonce: [7; 16],
        operations: vec![LedgerOperation::RevokeGrant(RevokeGrant { grant, reason })],
    };
    let json = if is_signed { serde_json::to_value(body.sign(&secret)) } else { serde_json::to_value(body) };
    json.expect("a transaction is plain data")
}
