//! The schemas of the API's description, rewritten for programs that generate clients: each choice and each object inside
//! another one is a component with a name of its own, for what has no name these programs give one that collides, or
//! leave out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use yilian_spec::base::limits::INTEGER_MAX;

type Schemas = Map<String, Value>;

/// A number of 32 bits as a text.
pub const NUMBER: &str = "^(0|[1-9][0-9]{0,9})$";

const COMPONENTS: &str = "#/components/schemas/";

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}

/// The component that a schema refers to.
pub fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(COMPONENTS)
}

/// Bounds integers as their types do, in words that every reader of JSON Schema knows.
pub fn bound_integers(value: &mut Value) {
    // A key of an object is a text, also where its type is a number.
    if value["propertyNames"]["type"] == "integer" {
        value["propertyNames"] = json!({ "type": "string", "pattern": NUMBER });
    }
    parts_mut(value).into_iter().for_each(bound_integers);
    let (maximum, format) = match value["format"].as_str() {
        Some("u-int8") => (u64::from(u8::MAX), "int32"),
        Some("u-int16") => (u64::from(u16::MAX), "int32"),
        Some("u-int32") => (u64::from(u32::MAX), "int64"),
        Some("u-int64") => (INTEGER_MAX, "int64"),
        Some("int64") => {
            value["minimum"] = (-INTEGER_MAX.cast_signed()).into();
            value["maximum"] = INTEGER_MAX.into();
            return;
        }
        Some(_) | None => return,
    };
    value["format"] = format.into();
    value["minimum"] = 0.into();
    value["maximum"] = maximum.into();
}

/// Makes every object inside another schema a component.
pub fn name_parts(schemas: &mut Schemas) {
    refer(schemas);
    merge_all(schemas);
    let mut waiting: Vec<String> = schemas.keys().cloned().collect();
    while let Some(name) = waiting.pop() {
        let Some(mut schema) = schemas.get_mut(&name).map(Value::take) else { continue };
        let mut parts = BTreeMap::new();
        name_properties(&name, &mut schema, &mut parts);
        name_choices(&name, &mut schema, &mut parts);
        schemas.insert(name, schema);
        for (part, schema) in parts {
            assert!(!schemas.contains_key(&part), "two schemas would be named {part}");
            schemas.insert(part.clone(), schema);
            waiting.push(part);
        }
    }
}

/// Leaves out the components that nothing refers to.
pub fn drop_unused(description: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        references(description, &mut used);
        let Some(schemas) = description.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
        else {
            return;
        };
        let before = schemas.len();
        schemas.retain(|name, _| used.contains(name));
        if schemas.len() == before {
            return;
        }
    }
}

fn references(value: &Value, used: &mut BTreeSet<String>) {
    used.extend(referred(value).map(str::to_owned));
    parts(value).into_iter().for_each(|part| references(part, used));
}

fn parts(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn parts_mut(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Generic types hold copies of the schemas of what they are of: these become references.
fn refer(schemas: &mut Schemas) {
    let records = schemas.iter().filter(|(_, schema)| is_object(schema) || schema["allOf"].is_array());
    let names: BTreeMap<String, String> =
        records.map(|(name, schema)| (schema.to_string(), name.clone())).collect();
    for schema in schemas.values_mut() {
        refer_inside(schema, &names);
    }
}

fn refer_inside(schema: &mut Value, names: &BTreeMap<String, String>) {
    for part in parts_mut(schema) {
        match names.get(&part.to_string()) {
            Some(name) => *part = reference(name),
            None => refer_inside(part, names),
        }
    }
}

fn is_object(schema: &Value) -> bool {
    schema["properties"].is_object()
}

/// One object for each that is all of several, and the choices of those that are one choice and more.
fn merge_all(schemas: &mut Schemas) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    // Each pass merges what the pass before made of the parts.
    for _ in 0..2 {
        for name in &names {
            let mut schema = schemas[name].clone();
            let choices = schema.get_mut("oneOf").and_then(Value::as_array_mut);
            choices.into_iter().flatten().for_each(|choice| merge(choice, schemas));
            merge(&mut schema, schemas);
            schemas[name] = schema;
        }
    }
}

fn merge(schema: &mut Value, schemas: &Schemas) {
    let Some(parts) = schema["allOf"].as_array() else { return };
    let mut merged = vec![json!({ "type": "object", "properties": {}, "required": [] })];
    for part in parts {
        let part = referred(part).map_or(part, |name| &schemas[name]);
        let choices = part["oneOf"].as_array().cloned().unwrap_or_else(|| vec![part.clone()]);
        if !choices.iter().all(is_object) {
            return;
        }
        merged = merged.iter().flat_map(|one| choices.iter().map(|choice| both(one, choice))).collect();
    }
    let description = schema["description"].clone();
    *schema = match merged.as_mut_slice() {
        [one] => one.take(),
        _ => json!({ "oneOf": merged }),
    };
    if description.is_string() {
        schema["description"] = description;
    }
}

/// An object with the fields of two.
fn both(one: &Value, other: &Value) -> Value {
    let mut both = one.clone();
    for (name, schema) in other["properties"].as_object().into_iter().flatten() {
        both["properties"][name] = schema.clone();
    }
    if let Some(required) = both["required"].as_array_mut() {
        required.extend(other["required"].as_array().into_iter().flatten().cloned());
    }
    if other["description"].is_string() {
        both["description"] = other["description"].clone();
    }
    both
}

fn name_properties(name: &str, schema: &mut Value, parts: &mut BTreeMap<String, Value>) {
    for (field, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        let part = format!("{name}{}", camel_case(field));
        if is_object(property) {
            parts.insert(part.clone(), std::mem::replace(property, reference(&part)));
        } else if is_object(&property["items"]) {
            parts.insert(part.clone(), std::mem::replace(&mut property["items"], reference(&part)));
        }
    }
}

fn name_choices(name: &str, schema: &mut Value, parts: &mut BTreeMap<String, Value>) {
    let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    let tags: Option<Vec<(String, String)>> = choices.iter().map(tag).collect();
    let mut mapping = Map::new();
    for choice in choices.iter_mut().filter(|choice| is_object(choice)) {
        let tag = tag(choice);
        let Some(word) = tag.as_ref().map(|(_, word)| word).or(first_field(choice).as_ref()).cloned() else {
            continue;
        };
        let part = format!("{name}{}", camel_case(&word));
        mapping.insert(word, format!("{COMPONENTS}{part}").into());
        parts.insert(part.clone(), std::mem::replace(choice, reference(&part)));
    }
    let Some(tags) = tags else { return };
    if let Some((field, _)) = tags.first().filter(|(first, _)| tags.iter().all(|(field, _)| field == first)) {
        schema["discriminator"] = json!({ "propertyName": field, "mapping": mapping });
    }
}

/// The field by which a choice is known, and its only value.
fn tag(choice: &Value) -> Option<(String, String)> {
    choice["properties"].as_object()?.iter().find_map(|(field, schema)| {
        match schema["enum"].as_array()?.as_slice() {
            [Value::String(word)] => Some((field.clone(), word.clone())),
            _ => None,
        }
    })
}

/// The name of a choice that is written as an object with one field.
fn first_field(choice: &Value) -> Option<String> {
    choice["properties"].as_object()?.keys().next().cloned()
}

fn camel_case(name: &str) -> String {
    name.split(['_', '-']).flat_map(|word| word.chars().enumerate()).map(capital).collect()
}

fn capital((place, character): (usize, char)) -> char {
    if place == 0 { character.to_ascii_uppercase() } else { character }
}
