//! What holds for every operation of the API, and so stands once: what an answer is, and how a request can fail.
//!
//! The handlers describe what is theirs ([`super::router`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

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

/// The description as JSON, in which what is described as a component is referred to wherever else it stands.
pub fn text(description: &OpenApi) -> String {
    let mut json = serde_json::to_value(description).expect("a description is plain data");
    if let Some(schemas) = json.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        refer(schemas);
    }
    json.to_string()
}

/// Generic types hold copies of the schemas of what they are of.
fn refer(schemas: &mut Map<String, Value>) {
    let records = schemas.iter().filter(|(_, schema)| schema["properties"].is_object());
    let names: BTreeMap<String, String> =
        records.map(|(name, schema)| (schema.to_string(), format!("#/components/schemas/{name}"))).collect();
    for schema in schemas.values_mut() {
        inner(schema, &names);
    }
}

fn inner(schema: &mut Value, names: &BTreeMap<String, String>) {
    let parts: Vec<&mut Value> = match schema {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    for part in parts {
        match names.get(&part.to_string()) {
            Some(reference) => *part = json!({ "$ref": reference }),
            None => inner(part, names),
        }
    }
}
