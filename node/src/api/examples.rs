//! Examples of answers in the API's description, composed from the schemas: what a schema says an answer has, the example
//! has, so none can be forgotten or fall behind.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schemas::{NUMBER, referred};

/// What stands for a text, by the name of its component or its field.
const TEXTS: [(&str, &str); 15] = [
    ("ConsortiumId", "qinghe-community"),
    ("FigureName", "result"),
    ("MetricCode", "bed-days"),
    ("ServiceCode", "teleconsultation"),
    ("code", "not_found"),
    ("message", "there is no such grant, or it does not concern your institution"),
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

/// Gives each answer whose schema is a component that component's examples: one, or one for each choice.
pub fn add(description: &mut Value) {
    let Some(schemas) = description.pointer("/components/schemas").and_then(Value::as_object).cloned() else {
        return;
    };
    let mut used = BTreeSet::new();
    let operations = description["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = operations.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    let answers = operations.filter_map(|operation| operation["responses"].as_object_mut());
    for answer in answers.flat_map(Map::values_mut) {
        let Some(content) = answer.pointer_mut("/content/application~1json") else { continue };
        let Some(name) = referred(&content["schema"]).map(str::to_owned) else { continue };
        let names = examples_of(&name, &schemas).into_iter().map(|(example, _)| example);
        content["examples"] = names
            .map(|example| {
                let reference = json!({ "$ref": format!("#/components/examples/{example}") });
                (example, reference)
            })
            .collect();
        used.insert(name);
    }
    let examples = used.iter().flat_map(|name| examples_of(name, &schemas));
    description["components"]["examples"] =
        examples.map(|(example, value)| (example, json!({ "value": value }))).collect();
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
