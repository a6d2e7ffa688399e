//! Examples of answers in the API's description, composed from the schemas: what a schema says an answer has, the example
//! has, so none can be forgotten or fall behind.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::limits::API_HEADER_BYTES_MAX;
use super::schemas::{NUMBER, referred};
use crate::health::HealthStatus;

/// What stands for a text, by the name of its component or its field.
const TEXTS: [(&str, &str); 13] = [
    ("ConsortiumId", "qinghe-community"),
    ("FigureName", "result"),
    ("MetricCode", "bed-days"),
    ("ServiceCode", "teleconsultation"),
    ("name", "Renhe Hospital"),
    ("network", "qinghe"),
    ("operation_name", "record_disclosure"),
    ("operations", "revoke_grant"),
    ("institution", "renhe-hospital"),
    ("about", "renhe-hospital"),
    ("reason", "blocks are decided"),
    ("last_address", "/dns/node.renhe.example/tcp/8500"),
    ("remedy", ""),
];

/// What stands for a text of which the schema says no more than its pattern.
fn of_pattern(pattern: &str) -> String {
    match pattern {
        "^[a-z][a-z0-9-]{1,39}$" => "renhe-hospital".to_owned(),
        "^[A-Z]{3}$" => "CNY".to_owned(),
        "^yilian-proof/v1$" => "yilian-proof/v1".to_owned(),
        "^[0-9a-f]{32}$" => "07".repeat(16),
        "^[0-9a-f]{64}$" => "ab".repeat(32),
        "^01[0-9a-f]{64}$" => format!("01{}", "cd".repeat(32)),
        "^01[0-9a-f]{128}$" => format!("01{}", "ef".repeat(64)),
        "^([0-9a-f]{2})*$" => "84abab".to_owned(),
        NUMBER => "0".to_owned(),
        _ => String::new(),
    }
}

/// Gives each answer whose schema is a component examples: of a refusal what the node says with that status, of anything else
/// one, or one for each choice.
pub fn add(description: &mut Value) {
    let Some(schemas) = description.pointer("/components/schemas").and_then(Value::as_object).cloned() else {
        return;
    };
    let mut examples = Map::new();
    let operations = description["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = operations.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    let answers = operations.filter_map(|operation| operation["responses"].as_object_mut());
    for (status, answer) in answers.flatten() {
        let Some(content) = answer.pointer_mut("/content/application~1json") else { continue };
        let found = match referred(&content["schema"]) {
            Some("ErrorBody") => refusals(status),
            Some(name) => examples_of(name, &schemas),
            None => continue,
        };
        let reference = |(name, _): &(String, Value)| {
            (name.clone(), json!({ "$ref": format!("#/components/examples/{name}") }))
        };
        content["examples"] = found.iter().map(reference).collect();
        examples.extend(found.into_iter().map(|(name, value)| (name, json!({ "value": value }))));
    }
    description["components"]["examples"] = examples.into();
}

/// What the node refuses with a status, by its code.
fn refusals(status: &str) -> Vec<(String, Value)> {
    let refusals = [
        ApiError::Malformed("limit is 0: give 1 to 1000".to_owned()),
        ApiError::NoToken,
        ApiError::NotYours { what: "the stream" },
        ApiError::NoneOfYours { what: "grant" },
        ApiError::TooLarge { limit_bytes: 8 << 20 },
        ApiError::ContentType,
        ApiError::Transaction {
            code: "expired",
            message: "the transaction has expired: make a new one".to_owned(),
        },
        ApiError::Busy {
            code: "too_many_waiters",
            message: "512 requests wait already: ask without wait_ms, or later".to_owned(),
            retry_after_s: 1,
        },
        ApiError::HeadersTooLarge { limit_bytes: API_HEADER_BYTES_MAX },
        ApiError::Internal("a row is missing".to_owned()),
        ApiError::Unavailable {
            code: HealthStatus::Disk.name(),
            message: "the disk is full: make room, or use another node".to_owned(),
        },
        ApiError::Timeout { limit_ms: 30_000 },
    ];
    let of_status = refusals.iter().filter(|refusal| refusal.status().as_str() == status);
    of_status.map(|refusal| (refusal.code().to_owned(), json!(refusal.body()))).collect()
}

/// The examples of a component, each with its name.
fn examples_of(name: &str, schemas: &Map<String, Value>) -> Vec<(String, Value)> {
    match schemas[name]["oneOf"].as_array() {
        None => vec![(name.to_owned(), example(&schemas[name], name, schemas))],
        Some(choices) => {
            let named = |(number, choice)| {
                let of = referred(choice).map_or_else(|| format!("{name}{number}"), str::to_owned);
                (of, example(choice, name, schemas))
            };
            choices.iter().enumerate().map(named).collect()
        }
    }
}

fn example(schema: &Value, name: &str, schemas: &Map<String, Value>) -> Value {
    if let Some(component) = referred(schema) {
        return example(&schemas[component], component, schemas);
    }
    if let Some(only) = schema["enum"].get(0) {
        return only.clone();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = choices.iter().find(|choice| choice["type"] != "null");
        return choice.map_or(Value::Null, |choice| example(choice, name, schemas));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    match kind {
        Some("object") => object(schema, schemas),
        Some("array") => json!([example(&schema["items"], name, schemas)]),
        Some("integer") => integer(schema, name).into(),
        Some("boolean") => false.into(),
        Some("string") => text(schema, name),
        Some(_) | None => Value::Null,
    }
}

fn object(schema: &Value, schemas: &Map<String, Value>) -> Value {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut object: Map<String, Value> =
        fields.map(|(name, field)| (name.clone(), example(field, name, schemas))).collect();
    if schema["additionalProperties"].is_object() {
        let key = of_pattern(schema["propertyNames"]["pattern"].as_str().unwrap_or_default());
        object.insert(key, example(&schema["additionalProperties"], "", schemas));
    }
    object.into()
}

fn integer(schema: &Value, name: &str) -> u64 {
    let usual = match name {
        "LedgerTime" => 1_800_000_000_000,
        "AmountMinor" => 18_000,
        _ if name.ends_with("_ms") => 1_000,
        _ => 1,
    };
    schema["maximum"].as_u64().map_or(usual, |maximum| maximum.min(usual))
}

fn text(schema: &Value, name: &str) -> Value {
    let named = TEXTS.iter().find(|(of, _)| *of == name);
    match (named, schema["pattern"].as_str()) {
        (Some((_, text)), _) => (*text).into(),
        (None, Some(pattern)) => of_pattern(pattern).into(),
        (None, None) if schema["type"].is_array() => Value::Null,
        (None, None) => "".into(),
    }
}
