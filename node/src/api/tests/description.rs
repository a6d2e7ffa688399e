//! The description of the API says what other people's tools need: who reads it can call everything and read every answer.

use std::collections::BTreeSet;

use serde_json::Value;

use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use crate::api::openapi;

fn description() -> Value {
    let text = openapi();
    if let Some(path) = std::env::var_os("YILIAN_WRITE_OPENAPI") {
        std::fs::write(path, &text).unwrap();
    }
    serde_json::from_str(&text).unwrap()
}

/// The operations with their paths.
fn operations(description: &Value) -> Vec<(String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((format!("{method} {path}"), operation));
        }
    }
    operations
}

/// The object that a reference means.
fn followed<'d>(description: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => description.pointer(reference.trim_start_matches('#')).expect(reference),
        None => schema,
    }
}

/// Everything in a schema that says nothing.
fn vague(at: &str, schema: &Value, found: &mut Vec<String>) {
    let Some(object) = schema.as_object() else { return };
    let says = [
        "$ref",
        "properties",
        "items",
        "oneOf",
        "allOf",
        "anyOf",
        "enum",
        "pattern",
        "additionalProperties",
        "const",
    ];
    let is_scalar = object.get("type").is_some_and(|kind| kind != "object" && kind != "array");
    if !is_scalar && !says.iter().any(|word| object.contains_key(*word)) {
        found.push(at.to_owned());
    }
    for (name, inner) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        vague(&format!("{at}/{name}"), inner, found);
    }
    for inner in ["items", "additionalProperties"].iter().filter_map(|word| object.get(*word)) {
        vague(&format!("{at}[]"), inner, found);
    }
    for inner in ["oneOf", "allOf", "anyOf"].iter().filter_map(|word| object.get(*word)?.as_array()).flatten()
    {
        vague(at, inner, found);
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_answer_says_what_it_is() {
    let description = description();
    let operations = operations(&description);
    let mut names = BTreeSet::new();
    for (at, operation) in &operations {
        let name = operation["operationId"].as_str().expect(at);
        assert!(names.insert(name), "{name} names two operations");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{at}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let said = answer["description"].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{at} {status} says nothing");
            for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                assert!(!content["schema"].is_null(), "{at} {status} {kind} has no schema");
            }
        }
        let needs_token = operation["security"].is_null();
        assert_eq!(operation["responses"]["401"].is_object(), needs_token, "{at}");
        assert_eq!(operation["responses"]["404"].is_object(), at.contains('{'), "{at}");
    }
    assert!(operations.len() >= 39, "{}", operations.len());
}

#[test]
fn no_schema_is_an_object_of_anything() {
    let description = description();
    let mut found = Vec::new();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        vague(name, schema, &mut found);
    }
    // What belongs to an error depends on its code.
    found.retain(|at| at != "ErrorDetail/details");
    assert_eq!(found, [""; 0]);
}

/// Every object inside another schema, but for components and for what maps names of any kind.
fn unnamed(at: &str, schema: &Value, is_component: bool, found: &mut Vec<String>) {
    if schema["properties"].is_object() && !is_component {
        found.push(at.to_owned());
    }
    assert!(!schema["allOf"].is_array(), "{at} is all of several");
    let properties = schema["properties"].as_object().into_iter().flatten();
    let choices = schema["oneOf"].as_array().into_iter().flatten().map(|choice| ("", choice));
    let items = schema.get("items").map(|items| ("[]", items));
    let parts = properties.map(|(name, part)| (name.as_str(), part)).chain(choices).chain(items);
    parts.for_each(|(name, part)| unnamed(&format!("{at}/{name}"), part, false, found));
}

/// Generators of clients leave out what has no name, or give it one that collides.
#[test]
fn every_object_has_a_name_and_every_choice_of_tagged_ones_its_discriminator() {
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let mut found = Vec::new();
    for (name, schema) in schemas {
        unnamed(name, schema, true, &mut found);
    }
    assert_eq!(found, [""; 0]);
    let proof = &schemas["ProofDocument"];
    assert_eq!(proof["discriminator"]["propertyName"], "kind");
    let stream = proof["discriminator"]["mapping"]["stream"].as_str().unwrap();
    let stream = description.pointer(stream.trim_start_matches('#')).unwrap();
    let fields: BTreeSet<&str> =
        stream["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(["format", "kind", "head", "entries"].iter().all(|field| fields.contains(field)), "{fields:?}");
    // A choice by the name of its only field.
    assert!(schemas["OperationGrantAccess"]["properties"]["grant_access"].is_object());
    // An example may have a field without a value, a word of the description never.
    let mut words = description.clone();
    words["components"].as_object_mut().unwrap().remove("examples");
    let words = words.to_string();
    assert!(!words.contains("null,\"") && !words.contains(":null"), "a word of the description is null");
}

#[test]
fn parameters_and_bodies_say_what_they_take() {
    let description = description();
    for (at, operation) in operations(&description) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (&parameter["name"], followed(&description, &parameter["schema"]));
            let is_bounded = match schema["type"].as_str() {
                Some("string") => schema["pattern"].is_string() || schema["enum"].is_array(),
                Some("integer") => schema["minimum"].is_number() && schema["maximum"].is_number(),
                _ => true,
            };
            // The id of a stream is one of several kinds.
            assert!(is_bounded || name == "id", "{at} {name}: {schema}");
        }
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(!content["schema"].is_null(), "{at} {kind}");
            let example = content.get("example").cloned().unwrap_or_default();
            let is_read = if at.ends_with("/check") {
                serde_json::from_value::<TransactionBody>(example).is_ok()
            } else {
                serde_json::from_value::<Transaction>(example).is_ok()
            };
            assert_eq!(is_read, kind == "application/json", "{at} {kind}");
        }
    }
}

/// Formats that no registry of formats knows mean nothing to other people's tools.
#[test]
fn integers_are_bounded_as_their_types_are() {
    let description = description();
    let schemas = &description["components"]["schemas"];
    let period = &schemas["CountedIn"]["properties"]["period"];
    assert_eq!((&period["maximum"], &period["format"]), (&u32::MAX.into(), &"int64".into()));
    assert!(!openapi().contains("u-int"), "a format of ours is left");
}

#[test]
fn records_stand_in_it_as_the_protocol_writes_them() {
    let description = description();
    let schemas = &description["components"]["schemas"];
    let grant = &schemas["Grant"];
    let fields: BTreeSet<&str> =
        grant["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(fields.contains("grantee") && fields.contains("window"), "{fields:?}");
    let tag = followed(&description, &grant["properties"]["subject"]);
    assert_eq!(tag["pattern"], "^[0-9a-f]{64}$");
    // Both sides of an answer that carries it.
    let answer = description
        .pointer("/paths/~1v1~1grants~1{id}/get/responses/200/content/application~1json/schema")
        .expect("the answer of one grant");
    let record = &followed(&description, answer)["properties"]["record"];
    assert_eq!(record["$ref"], "#/components/schemas/Grant");
}
